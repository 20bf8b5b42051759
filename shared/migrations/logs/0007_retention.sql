-- Logs go with the day on which they were received (UTC), so what counts them knows it.

-- The day on which a log was received: its id begins with the milliseconds since 1970 (RFC 9562, section 5.7).
create function received_on(id uuid) returns date language sql immutable strict parallel safe as $$
    select (to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) at time zone 'utc')::date
$$;

-- Whoever stores rows, or counts them anew, waits until this is committed, so that none are left out.
lock table receipts, hourly_counts, hourly_counts_new in access exclusive mode;

truncate hourly_counts, hourly_counts_new;
alter table hourly_counts add column received date not null, drop constraint hourly_counts_once;
alter table hourly_counts add constraint hourly_counts_once unique nulls not distinct (tenant, hour, service, level, language, received);
-- A processor of the version before says nothing of the day: what it stores it has received just now. Where an hour is marked, it means nothing.
alter table hourly_counts_new add column received date not null default (now() at time zone 'utc')::date;

do $$
declare
    one record;
begin
    for one in select tenant from schemas where dropped_at is null and to_regclass(quote_ident(tenant) || '.log_rows') is not null loop
        execute format(
            'insert into hourly_counts (tenant, hour, service, level, language, received, logs)
             select %L, date_bin(''1 hour'', "timestamp", ''1970-01-01Z''), service, level, language, public.received_on(id), count(*) from %I.log_rows group by 2, 3, 4, 5, 6',
            one.tenant, one.tenant
        );
    end loop;
end
$$;
