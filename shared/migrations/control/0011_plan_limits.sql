-- What a tenant's plan lets it send this month, copied here by whoever gives it the plan and by maintenance as months begin. It counts where the tenant has no
-- limits of its own.

alter table tenants add column plan_limits jsonb not null default '{}';

drop index tenants_with_quota;
create index tenants_with_quota on tenants (id) where coalesce(nullif(limits, '{}'), plan_limits) ? 'quota';
