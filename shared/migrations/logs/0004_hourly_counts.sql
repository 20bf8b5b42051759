-- Logs of each hour (UTC, by their own time), by what lists filter by: histograms and facets add these up instead of counting rows.
-- Whoever stores rows adds what they come to in the same transaction, to a table in which nobody waits for another; maintenance adds that up.
-- Where `logs` is null, the hour is to be counted anew: rows were made again that may have been counted.

create table hourly_counts (
    tenant text not null,
    hour timestamptz not null,
    service text not null,
    level smallint not null,
    language text,
    logs bigint not null,
    constraint hourly_counts_once unique nulls not distinct (tenant, hour, service, level, language)
);

create table hourly_counts_new (
    tenant text not null,
    hour timestamptz not null,
    service text not null,
    level smallint not null,
    language text,
    logs bigint
);

create index hourly_counts_new_hour on hourly_counts_new (tenant, hour);

-- Whoever stores rows waits until this is committed, so that none are left out.
lock table receipts in share row exclusive mode;

do $$
declare
    one record;
begin
    for one in select tenant from schemas where dropped_at is null and to_regclass(quote_ident(tenant) || '.log_rows') is not null loop
        execute format(
            'insert into hourly_counts select %L, date_bin(''1 hour'', "timestamp", ''1970-01-01Z''), service, level, language, count(*) from %I.log_rows group by 2, 3, 4, 5',
            one.tenant, one.tenant
        );
    end loop;
end
$$;
