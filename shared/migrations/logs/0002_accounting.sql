-- What it takes to account for every record.

alter table dead_letters
    -- Records that it stands for: an entry that could not be opened holds many, as its header says.
    add column records integer not null default 1,
    -- Set when somebody asked for another try; cleared by the try.
    add column redrive_at timestamptz,
    -- Tries made since it was buried.
    add column attempts integer not null default 0,
    -- Set when somebody gave it up: then its bytes are gone, and the line stays, so that counts still add up.
    add column discarded_at timestamptz;

create index dead_letters_redrive on dead_letters (redrive_at) where redrive_at is not null;
create index dead_letters_batch on dead_letters (batch_id) where batch_id is not null;

-- Whether the batch was accepted by a queue that is not known to be on disk at every answer.
alter table receipts add column relaxed boolean not null default false;
