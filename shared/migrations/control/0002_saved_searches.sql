-- Searches that people keep: what they would type again, by a name. `from` and `to` as they were typed, so that relative times stay so.

create table saved_searches (
    id uuid primary key,
    tenant_id text not null references tenants (id),
    name text not null,
    q text not null,
    "from" text,
    "to" text,
    services text[] not null,
    levels text[] not null,
    sort text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint saved_searches_name_once unique (tenant_id, name)
);
