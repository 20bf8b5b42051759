-- The registry: who the tenants are, and what their keys allow. Ids are never used again, so nothing is ever deleted here.

create table tenants (
    id text primary key constraint tenants_id_form check (id ~ '^[a-z][a-z0-9_]{1,46}$'),
    name text not null,
    -- provisioning: its schema is being made; deleting: what it has is being removed.
    status text not null constraint tenants_status_known check (status in ('provisioning', 'active', 'suspended', 'deleting', 'deleted')),
    class text not null default 'standard',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- One sequence for all grants: a later change of a key or its tenant has a higher version than an earlier one.
create sequence grant_version;

create table api_keys (
    id uuid primary key,
    tenant_id text not null references tenants (id),
    name text not null,
    hash bytea not null constraint api_keys_hash_once unique constraint api_keys_hash_length check (length(hash) = 32),
    prefix text not null,
    scopes text[] not null,
    version bigint not null default nextval('grant_version'),
    -- The last version that the key ring in Redis is known to have taken.
    published_version bigint,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

create index api_keys_tenant on api_keys (tenant_id, created_at, id);
-- What the key ring still has to learn: empty, but for moments and trouble.
create index api_keys_unpublished on api_keys (version) where published_version is distinct from version;
