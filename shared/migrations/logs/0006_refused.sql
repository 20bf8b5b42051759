-- How much was refused, by the hour in which it was, key, service and reason: copied from Redis, where it is counted.

create table refused (
    tenant text not null,
    hour timestamptz not null,
    key_id uuid not null,
    -- Empty where the body was not read.
    service text not null,
    reason text not null,
    -- Which counts of Redis these are: where it lost some, those that began anew are beside them.
    epoch uuid not null,
    requests bigint not null,
    logs bigint not null,
    bytes bigint not null,
    primary key (tenant, hour, key_id, service, reason, epoch)
);
