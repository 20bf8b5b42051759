-- How much tenants and their keys may send (shared/src/limits.rs); an empty object for as much as comes.

alter table tenants add column limits jsonb not null default '{}';
alter table api_keys add column limits jsonb not null default '{}';

-- What a key may be used for; an empty list for all. Networks as CIDR blocks, origins as browsers send them.
alter table api_keys
    add column services text[] not null default '{}',
    add column networks text[] not null default '{}',
    add column origins text[] not null default '{}',
    -- The key that was made in its place, when it was rotated.
    add column replaced_by uuid,
    -- To the minute.
    add column last_used_at timestamptz;

create index tenants_with_quota on tenants (id) where limits ? 'quota';

-- Which marks of its quota a tenant has passed in a month: each is told once.
create table quota_notices (
    tenant_id text not null references tenants (id),
    month text not null,
    meter text not null,
    percent integer not null,
    at timestamptz not null default now(),
    primary key (tenant_id, month, meter, percent)
);
