-- The role and the two databases, where they are not there yet. Read by psql, natively and in the container.
select 'create role loggerhub login createdb password ''loggerhub'''
where not exists (select from pg_roles where rolname = 'loggerhub') \gexec

select format('create database %I owner loggerhub', wanted)
from unnest(array['loggerhub', 'loggerhub_processor_db']) as wanted
where not exists (select from pg_database where datname = wanted) \gexec
