-- How long a tenant's logs are kept (shared/src/retention.rs); an empty object for as long as the tenant is there.

alter table tenants
    add column retention jsonb not null default '{}',
    -- The first day of receipt, since 1970-01-01, that maintenance has not removed from each store.
    add column removed_before jsonb not null default '{}';

create index tenants_with_retention on tenants (id) where retention <> '{}';
