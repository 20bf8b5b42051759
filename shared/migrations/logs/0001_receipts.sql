-- What belongs to no tenant's schema: which schemas there are, receipts of all batches, and dead letters.

create table schemas (
    tenant text primary key,
    version integer not null,
    created_at timestamptz not null default now(),
    -- Set when the tenant is gone: what still arrives for it is dropped, not parked for ever.
    dropped_at timestamptz
);

create table receipts (
    batch_id uuid not null,
    tenant text not null,
    key_id uuid not null,
    class text not null,
    accepted integer not null,
    rejected jsonb not null,
    wire_bytes bigint not null,
    unpacked_bytes bigint not null,
    -- accepted = stored + dead; stored = indexed + pending + refused + not_wanted
    stored integer not null,
    dead integer not null default 0,
    indexed integer not null,
    pending integer not null,
    refused integer not null,
    not_wanted integer not null,
    stored_at timestamptz not null default now(),
    primary key (batch_id)
) partition by range (batch_id);

-- What the index missed is found here, oldest first, without looking into thousands of schemas.
create index receipts_pending on receipts (batch_id) where pending > 0;

-- Whether a search of one tenant is complete must not depend on what the others miss.
create index receipts_pending_of_tenant on receipts (tenant) where pending > 0;

create table dead_letters (
    id uuid primary key,
    tenant text,
    batch_id uuid,
    stage text not null,
    code text not null,
    reason text not null,
    bytes bytea not null,
    created_at timestamptz not null default now()
);

create index dead_letters_tenant on dead_letters (tenant, id);
