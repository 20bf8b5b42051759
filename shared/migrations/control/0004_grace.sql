-- A tenant that is being deleted can be restored until `delete_at`; from `erasing_at` on, what it has is being erased, and there is no way back.
-- `status_before` is what it goes back to.

alter table tenants add column delete_at timestamptz, add column erasing_at timestamptz, add column status_before text;

-- Those whose deletion was begun without grace.
update tenants set delete_at = updated_at, erasing_at = updated_at where status = 'deleting';
