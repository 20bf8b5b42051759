-- Warnings and worse of one service, however rare they are among its rows: a list of them must not look at all rows.
create index log_rows_rare on {schema}.log_rows (service, "timestamp", id) where level >= 4;
