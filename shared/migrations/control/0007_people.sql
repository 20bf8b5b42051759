-- People: who they are, which tenants they belong to, and the secrets that let them in. Of passwords and tokens only hashes are here.

create table users (
    id uuid primary key,
    -- As it was typed; compared without regard to case.
    email text not null,
    name text not null,
    -- argon2id in the PHC string format, with its parameters.
    password_hash text not null,
    -- Rises when all sessions must end: one that began under a lower one opens nothing.
    session_epoch bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    password_changed_at timestamptz not null default now(),
    last_login_at timestamptz,
    disabled_at timestamptz
);

create unique index users_email_once on users (lower(email));

create table memberships (
    tenant_id text not null references tenants (id),
    user_id uuid not null references users (id),
    role text not null constraint memberships_role_known check (role in ('owner', 'admin', 'member', 'viewer')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, user_id)
);

create index memberships_user on memberships (user_id, tenant_id);

create table invitations (
    id uuid primary key,
    tenant_id text not null references tenants (id),
    email text not null,
    role text not null constraint invitations_role_known check (role in ('owner', 'admin', 'member', 'viewer')),
    token_hash bytea not null constraint invitations_token_once unique constraint invitations_token_length check (length(token_hash) = 32),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    accepted_at timestamptz,
    accepted_by uuid references users (id),
    revoked_at timestamptz
);

create index invitations_tenant on invitations (tenant_id, id);
-- Of several to one address the last one counts.
create unique index invitations_open_once on invitations (tenant_id, lower(email)) where accepted_at is null and revoked_at is null;

create table password_resets (
    id uuid primary key,
    user_id uuid not null references users (id),
    token_hash bytea not null constraint password_resets_token_once unique constraint password_resets_token_length check (length(token_hash) = 32),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz
);

create index password_resets_user on password_resets (user_id);

-- A person changes things, too (`user_id` says who); and somebody who has not said who it is tries to log in.
alter table audit_trail add column user_id uuid;
alter table audit_trail drop constraint audit_trail_actor_known;
alter table audit_trail add constraint audit_trail_actor_known check (actor in ('operator', 'key', 'user', 'nobody', 'system'));
alter table audit_trail add constraint audit_trail_user_named check ((actor = 'user') = (user_id is not null));

-- An event with a secret in it (a token that opens an account) is for the operator's own consumers, and never for a tenant's: whoever tells
-- tenants reads those of the audience 'tenant' only. One that is about a person alone has no tenant.
alter table outbox alter column tenant_id drop not null;
alter table outbox add column audience text not null default 'tenant' constraint outbox_audience_known check (audience in ('tenant', 'operator'));
alter table outbox add constraint outbox_tenant_named check (audience = 'operator' or tenant_id is not null);
