-- What the making and the removal of a tenant come to, step by step. Each step can be done again, and is, by whoever goes on where another broke
-- off. They stay when the tenant is gone: those of its removal are the receipts.

create table tenant_steps (
    tenant_id text not null references tenants (id),
    ledger text not null constraint tenant_steps_ledger_known check (ledger in ('provisioning', 'deletion')),
    position smallint not null,
    step text not null,
    -- pending: not tried yet; running: begun, and if nobody is at it any more, broken off; waiting: done as far as it can be by now;
    -- failed: the last attempt ended with `last_error`.
    state text not null default 'pending' constraint tenant_steps_state_known check (state in ('pending', 'running', 'waiting', 'failed', 'done')),
    attempts integer not null default 0,
    last_error text,
    created_at timestamptz not null default now(),
    begun_at timestamptz,
    tried_at timestamptz,
    done_at timestamptz,
    -- What was removed, and how many of it.
    receipt jsonb not null default '{}',
    primary key (tenant_id, step)
);

create index tenant_steps_open on tenant_steps (step) where state <> 'done';

insert into tenant_steps (tenant_id, ledger, position, step)
select t.id, 'provisioning', s.position, s.step from tenants t, (values (1, 'make_schema'), (2, 'activate')) as s (position, step) where t.status = 'provisioning';

insert into tenant_steps (tenant_id, ledger, position, step)
select t.id, 'deletion', s.position, s.step
from tenants t,
    (values (1, 'close_keys'), (2, 'grace'), (3, 'drop_schema'), (4, 'remove_documents'), (5, 'remove_objects'), (6, 'remove_late'), (7, 'forget')) as s (position, step)
where t.status = 'deleting';
