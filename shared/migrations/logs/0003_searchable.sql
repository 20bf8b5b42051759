-- When the index was told the last of a batch: what was told shows in searches with the index's next refresh. So a watermark knows what may
-- not show yet, however long the batch had waited before.

alter table receipts add column searchable_at timestamptz not null default now();

create index receipts_searchable on receipts (tenant, searchable_at);
