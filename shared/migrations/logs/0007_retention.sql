-- Logs go with the day on which they were received (UTC), so what counts them knows it.

-- The day on which a log was received: its id begins with the milliseconds since 1970 (RFC 9562, section 5.7).
create function received_on(id uuid) returns date language sql immutable strict parallel safe as $$
    select (to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) at time zone 'utc')::date
$$;

-- 1970-01-01: not known. So are counts that processes of the version before go on writing; where a part of a range does not know its days, and that
-- makes a difference, its rows are counted instead.
alter table hourly_counts_new add column received date not null default '1970-01-01';
alter table hourly_counts add column received date not null default '1970-01-01', drop constraint hourly_counts_once;
alter table hourly_counts add constraint hourly_counts_once unique nulls not distinct (tenant, hour, service, level, language, received);

-- Maintenance counts all hours anew, a few at a time; nobody waits for it.
insert into hourly_counts_new (tenant, hour, service, level, logs) select distinct tenant, hour, '', 0::smallint, null::bigint from hourly_counts;
