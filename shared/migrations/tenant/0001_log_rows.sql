-- One tenant's schema. `{schema}` stands for its name.

create table {schema}.objects (
    id bigint generated always as identity primary key,
    path text not null constraint objects_path_once unique
);

-- Filed by id, which says when a log was received. `level` counts from 1 (TRACE) to 6 (FATAL); `index_state` is 0 pending,
-- 1 indexed, 2 refused, 3 not wanted. `raw_offset` and `raw_length` name the frame of the raw object that holds the record.
create table {schema}.log_rows (
    id uuid not null,
    "timestamp" timestamptz not null,
    object_id bigint not null,
    raw_offset integer not null,
    raw_length integer not null,
    level smallint not null,
    index_state smallint not null,
    service text not null,
    language text,
    message text not null,
    primary key (id)
) partition by range (id);

create index log_rows_timestamp on {schema}.log_rows ("timestamp", id);

-- For people: SELECT id, service, level, message, timestamp FROM {schema}.logs ORDER BY timestamp DESC LIMIT 50
create view {schema}.logs as
select
    r.id,
    r."timestamp",
    r.service,
    case r.level when 1 then 'TRACE' when 2 then 'DEBUG' when 3 then 'INFO' when 4 then 'WARN' when 5 then 'ERROR' else 'FATAL' end as level,
    r.message,
    (select o.path from {schema}.objects o where o.id = r.object_id) as raw_path,
    r.index_state = 1 as indexed,
    r.language
from {schema}.log_rows r;
