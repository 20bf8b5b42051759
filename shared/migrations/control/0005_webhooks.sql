-- Webhooks: where a tenant wants to be told what becomes of it, and what became of each event there.

create table webhooks (
    id uuid primary key,
    tenant_id text not null references tenants (id),
    url text not null,
    -- Null for all.
    event_types text[],
    description text not null,
    -- Events from then on are for it.
    listens_from timestamptz not null,
    disabled_at timestamptz,
    disabled_reason text constraint webhooks_reason_known check (disabled_reason in ('by_hand', 'gone', 'failing')),
    -- Since when no delivery has succeeded.
    failing_since timestamptz,
    -- When its first pending delivery is to be tried; null where none is pending.
    due_at timestamptz,
    -- Who delivers, and until when nobody else does: no transaction is held while a receiver answers.
    claim uuid,
    claimed_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint webhooks_disabled_for_a_reason check ((disabled_at is null) = (disabled_reason is null))
);

create index webhooks_tenant on webhooks (tenant_id, id);
create index webhooks_due on webhooks (due_at) where due_at is not null;

create table webhook_secrets (
    id uuid primary key,
    webhook_id uuid not null references webhooks (id) on delete cascade,
    -- A signature needs the secret itself, so no hash will do: sealed by a key of the settings, where there is one, else as it was shown.
    secret text not null,
    created_at timestamptz not null default now(),
    -- Null for the one in force; one that was replaced signs, too, until then.
    ends_at timestamptz
);

create unique index webhook_secrets_one_in_force on webhook_secrets (webhook_id) where ends_at is null;
create index webhook_secrets_webhook on webhook_secrets (webhook_id);

create table webhook_deliveries (
    id uuid primary key,
    webhook_id uuid not null references webhooks (id) on delete cascade,
    event_id uuid not null,
    -- The event's place in the outbox, which forgets it sooner; 0 for a test, which goes ahead.
    position bigint not null,
    type text not null,
    -- What is sent.
    body text not null,
    state text not null constraint webhook_deliveries_state_known check (state in ('pending', 'delivered', 'dead')),
    attempts integer not null default 0,
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    last_status integer,
    last_error text,
    created_at timestamptz not null default now(),
    -- When it was delivered, or died.
    settled_at timestamptz,
    constraint webhook_deliveries_once unique (webhook_id, event_id),
    constraint webhook_deliveries_pending_are_due check ((state = 'pending') = (next_attempt_at is not null)),
    constraint webhook_deliveries_others_are_settled check ((state = 'pending') = (settled_at is null))
);

create index webhook_deliveries_pending on webhook_deliveries (webhook_id, position, id) where state = 'pending';
create index webhook_deliveries_webhook on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_settled on webhook_deliveries (settled_at) where settled_at is not null;

-- The third of those who are told. What came about before there were webhooks is for none of them.

alter table outbox add column hooked_at timestamptz;
update outbox set hooked_at = now();
create index outbox_not_hooked on outbox (position) where hooked_at is null;
-- For a webhook that wants to know what came about lately.
create index outbox_tenant on outbox (tenant_id, position);
