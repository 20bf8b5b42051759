-- What tenants used, by the hour (UTC) in which it was received, by key and by service: what bills are made of.
-- Whoever stores rows adds a line in the same transaction, to a table in which nobody waits for another; maintenance adds lines up. Closing a
-- month marks what it takes with the id of its invoice (`bill`); what comes later stays unmarked, and counts in the next one. Nothing here is
-- deleted with its tenant: its last month is still to be billed.

create table usage_new (
    tenant text not null,
    hour timestamptz not null,
    -- Both null for what belongs to the tenant as a whole.
    key_id uuid,
    service text,
    logs bigint not null default 0,
    -- Of the body as it came over the wire: a batch of several services is split by the bytes of their records.
    wire_bytes bigint not null default 0,
    -- Of the records as sent, a line each.
    bytes bigint not null default 0,
    -- Of those that are in the index, or on their way there.
    indexed_bytes bigint not null default 0,
    -- Of raw as it lies in the object store. A frame counts once, with the first of its records.
    raw_bytes bigint not null default 0,
    searches bigint not null default 0,
    -- What lay in each store when the day was sampled: bytes, for that day.
    rows_byte_days bigint not null default 0,
    index_byte_days bigint not null default 0,
    raw_byte_days bigint not null default 0
);

create index usage_new_hour on usage_new (tenant, hour);

create table usage_hours (
    like usage_new including defaults,
    bill uuid,
    constraint usage_hours_once unique nulls not distinct (tenant, hour, key_id, service, bill)
);

create index usage_hours_bill on usage_hours (bill, hour) where bill is not null;

-- What a bill took never changes.
create function usage_is_taken() returns trigger language plpgsql as $$
begin
    raise exception 'usage of % that a bill took is not changed', old.tenant using errcode = 'restrict_violation';
end
$$;

create trigger usage_hours_taken before update or delete on usage_hours for each row when (old.bill is not null) execute function usage_is_taken();

-- Which bills have taken their usage: a bill takes once, however often its closing is tried.
create table usage_bills (
    bill uuid primary key,
    tenant text not null,
    month date not null,
    taken_at timestamptz not null default now()
);

-- Which days of a tenant's storage were sampled: each once.
create table storage_samples (
    tenant text not null,
    day date not null,
    primary key (tenant, day)
);
