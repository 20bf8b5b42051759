-- What was changed: who did what to what, when and from where. Written in the transaction of the change, and never changed nor deleted: not
-- even with the tenant, of whose end it is the receipt.

create table audit_trail (
    id uuid primary key,
    -- Null where it concerns several, or nobody knows whose it is. No reference: a dead letter may name a tenant that never was.
    tenant_id text,
    at timestamptz not null default now(),
    -- 'operator', 'key' (then `key_id` says which) or 'system'
    actor text not null constraint audit_trail_actor_known check (actor in ('operator', 'key', 'system')),
    key_id uuid constraint audit_trail_key_named check ((actor = 'key') = (key_id is not null)),
    action text not null,
    -- What it was done to: the id of a key, a saved search or a dead letter; null for the tenant itself.
    subject text,
    address text,
    request_id text,
    data jsonb not null
);

create index audit_trail_tenant on audit_trail (tenant_id, id);

-- What others are to be told: written in the same transaction, and told by maintenance in this order, one tenant's events one after another.

create table outbox (
    position bigint generated always as identity primary key,
    id uuid not null constraint outbox_id_once unique,
    tenant_id text not null,
    type text not null,
    subject text not null,
    at timestamptz not null default now(),
    data jsonb not null,
    -- When the stream in Redis, and the event bus, had it.
    streamed_at timestamptz,
    bused_at timestamptz
);

create index outbox_not_streamed on outbox (position) where streamed_at is null;
create index outbox_not_bused on outbox (tenant_id, position) where bused_at is null;
