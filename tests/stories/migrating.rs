//! Bringing the schemas of all tenants forward.

use std::process::Output;

use serde_json::json;
use sqlx::Row;

use crate::harness::{World, plain, story};

const TENANTS: usize = 12;

async fn versions(world: &World) -> Vec<i32> {
    world.sql("select version from public.schemas order by tenant").await.iter().map(|row| row.get(0)).collect()
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn a_schema_that_cannot_be_brought_forward_stops_no_other_and_is_named() {
    story(async |world| {
        let ids: Vec<String> = (0..TENANTS).map(|n| format!("tenant_{n:02}")).collect();
        for id in &ids {
            world.operator().post("/v1/tenants", &json!({ "id": id, "name": id })).await.ok(201);
            // As version 1 made it.
            world.sql(&format!("drop index {id}.log_rows_rare")).await;
        }
        world.sql("update public.schemas set version = 1").await;
        world.sql("alter table tenant_05.log_rows rename column service to renamed_by_hand").await;

        for brought in [TENANTS - 1, 0] {
            let done = world.command(&["migrate"]).await;
            assert_eq!(done.status.code(), Some(1), "{done:?}");
            let lines = said(&done);
            let named: Vec<&str> = lines.lines().filter(|line| line.contains("the schema of")).collect();
            assert!(matches!(named[..], [one] if one.contains("tenant_05") && one.contains("column \"service\" does not exist")), "{lines}");
            assert!(String::from_utf8_lossy(&done.stdout).starts_with(&format!("{brought} schemas are at version 2")), "{done:?}");
            let expected: Vec<i32> = (0..TENANTS).map(|n| if n == 5 { 1 } else { 2 }).collect();
            assert_eq!(versions(world).await, expected);
        }
        let indices = world.sql("select 1 from pg_indexes where indexname = 'log_rows_rare'").await.len();
        assert_eq!(indices, TENANTS - 1, "what a version adds is there");
        world.key_of("tenant_04", &["logs:write", "logs:read"]).await.stored(&[plain("its neighbour works")]).await;

        world.sql("alter table tenant_05.log_rows rename column renamed_by_hand to service").await;
        let done = world.command(&["migrate"]).await;
        assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), ""), "{done:?}");
        assert_eq!(versions(world).await, [2; TENANTS]);
        assert!(world.command(&["migrate"]).await.stdout.is_empty(), "there is nothing left to be done");
    });
}

#[test]
fn a_lock_on_one_tenants_table_keeps_only_its_own_schema_behind() {
    story(async |world| {
        for id in ["free", "locked"] {
            world.operator().post("/v1/tenants", &json!({ "id": id, "name": id })).await.ok(201);
            world.sql(&format!("drop index {id}.log_rows_rare")).await;
        }
        world.sql("update public.schemas set version = 1").await;
        let mut somebody = world.rows_connection().await;
        let mut transaction = sqlx::Connection::begin(&mut somebody).await.expect("Postgres answers");
        sqlx::query("lock table locked.log_rows in access exclusive mode").execute(&mut *transaction).await.expect("a lock");
        let done = world.command(&["migrate"]).await;
        assert!(done.status.code() == Some(1) && said(&done).contains("locked") && said(&done).contains("lock timeout"), "{done:?}");
        assert_eq!(versions(world).await, [2, 1]);
        transaction.rollback().await.expect("Postgres answers");
        assert_eq!(world.command(&["migrate"]).await.status.code(), Some(0));
        assert_eq!(versions(world).await, [2, 2]);
    });
}
