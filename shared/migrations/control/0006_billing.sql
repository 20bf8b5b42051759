-- Plans, invoices and credits. Money is `numeric`, exact, in the currency beside it.

create table plans (
    id text primary key constraint plans_id_form check (id ~ '^[a-z][a-z0-9_]{1,46}$'),
    name text not null,
    currency text not null constraint plans_currency_form check (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- What a plan asks for, from a month on. Versions are added, never changed: of those that have begun by a month, the highest counts for it, and
-- none begins in a month that has ended. One document, read and written whole; the decimals in it are texts, so that they stay exact.
create table plan_versions (
    plan_id text not null references plans (id),
    version integer not null,
    from_month date not null constraint plan_versions_month check (extract(day from from_month) = 1),
    terms jsonb not null,
    created_at timestamptz not null default now(),
    primary key (plan_id, version)
);

-- Which plan a tenant has, from a month on.
create table tenant_plans (
    tenant_id text not null references tenants (id),
    from_month date not null constraint tenant_plans_month check (extract(day from from_month) = 1),
    plan_id text not null references plans (id),
    created_at timestamptz not null default now(),
    primary key (tenant_id, from_month)
);

-- One for each month of a tenant. A draft has no number and no lines: what it comes to is computed when it is read. Its id is the mark that its
-- usage bears in the logs database.
create table invoices (
    id uuid primary key,
    tenant_id text not null references tenants (id),
    month date not null constraint invoices_month check (extract(day from month) = 1),
    status text not null default 'draft' constraint invoices_status_known check (status in ('draft', 'finalized', 'paid', 'void')),
    number bigint constraint invoices_number_once unique,
    plan_id text not null,
    plan_version integer not null,
    currency text not null,
    -- Usage from this month on is taken: before it the tenant had no plan.
    usage_from date not null,
    subtotal numeric constraint invoices_subtotal_not_negative check (subtotal >= 0),
    credit numeric constraint invoices_credit_not_negative check (credit >= 0),
    total numeric constraint invoices_total_not_negative check (total >= 0),
    created_at timestamptz not null default now(),
    finalized_at timestamptz,
    paid_at timestamptz,
    voided_at timestamptz,
    -- What whoever took the payment calls it.
    payment text,
    constraint invoices_once unique (tenant_id, month),
    constraint invoices_adds_up check (total = subtotal - credit),
    constraint invoices_whole check ((status = 'draft') = (number is null) and (status = 'draft') = (total is null) and (status = 'draft') = (finalized_at is null)),
    foreign key (plan_id, plan_version) references plan_versions (plan_id, version)
);

create index invoices_tenant on invoices (tenant_id, id);

create table invoice_lines (
    invoice_id uuid not null references invoices (id),
    line integer not null,
    -- Null for the base price.
    meter text,
    description text not null,
    unit text not null,
    quantity numeric not null,
    price numeric not null,
    amount numeric not null,
    primary key (invoice_id, line)
);

-- The last number that was given. Whoever finalizes holds this line until it is done, so that none is left out.
create table invoice_numbers (
    only_one boolean primary key default true check (only_one),
    last bigint not null
);
insert into invoice_numbers (last) values (0);

create table credits (
    id uuid primary key,
    -- The order in which they are used up.
    position bigint generated always as identity unique,
    tenant_id text not null references tenants (id),
    currency text not null constraint credits_currency_form check (currency ~ '^[A-Z]{3}$'),
    amount numeric not null constraint credits_amount_positive check (amount > 0),
    remaining numeric not null,
    reason text not null,
    created_at timestamptz not null default now(),
    constraint credits_remaining_within check (remaining >= 0 and remaining <= amount)
);

create index credits_tenant on credits (tenant_id, id);

create table credit_uses (
    credit_id uuid not null references credits (id),
    invoice_id uuid not null references invoices (id),
    amount numeric not null constraint credit_uses_amount_positive check (amount > 0),
    -- When the invoice was made void, and the credit had it back.
    returned_at timestamptz,
    primary key (credit_id, invoice_id)
);

-- A finalized invoice is never changed, whoever tries: it can only be paid or made void, once.
create function invoice_is_final() returns trigger language plpgsql as $$
declare
    fixed constant text[] := array['status', 'paid_at', 'voided_at', 'payment'];
begin
    if tg_op = 'UPDATE' and old.status = 'finalized' and new.status in ('paid', 'void') and to_jsonb(old) - fixed = to_jsonb(new) - fixed then
        return new;
    end if;
    raise exception 'invoice % is finalized: it is not changed', old.number using errcode = 'restrict_violation';
end
$$;

create trigger invoices_final before update or delete on invoices for each row when (old.status <> 'draft') execute function invoice_is_final();

create function invoice_line_is_final() returns trigger language plpgsql as $$
declare
    id uuid := case when tg_op = 'INSERT' then new.invoice_id else old.invoice_id end;
begin
    if tg_op = 'INSERT' and (select status from invoices where invoices.id = new.invoice_id) = 'draft' then
        return new;
    end if;
    raise exception 'the lines of invoice % are not changed', id using errcode = 'restrict_violation';
end
$$;

create trigger invoice_lines_final before insert or update or delete on invoice_lines for each row execute function invoice_line_is_final();

-- Plan versions are what invoices were made by.
create function plan_version_is_kept() returns trigger language plpgsql as $$
begin
    raise exception 'version % of plan % is not changed: add another', old.version, old.plan_id using errcode = 'restrict_violation';
end
$$;

create trigger plan_versions_kept before update or delete on plan_versions for each row execute function plan_version_is_kept();

create function billing_is_not_emptied() returns trigger language plpgsql as $$
begin
    raise exception '% is not emptied', tg_table_name using errcode = 'restrict_violation';
end
$$;

create trigger invoices_kept before truncate on invoices execute function billing_is_not_emptied();
create trigger invoice_lines_kept before truncate on invoice_lines execute function billing_is_not_emptied();
