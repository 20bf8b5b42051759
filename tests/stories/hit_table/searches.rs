//! The searches of the table.

use super::Search;

/// By what they are about.
pub(super) const SEARCHES: [(&str, &[Search]); 8] = [
    (
        "Identifiers",
        &[
            search(
                "req-35ce1965-5cf3-4455-8ad4-8e81ad85c95a",
                &["[req-35ce1965-5cf3-4455-8ad4-8e81ad85c95a"],
                &["[req-24d21969-9186-4c21-ad1a-51df3204f378", "[req-05999abf-5d83-42b1-8e7d-3bd6ac1b8843"],
            ),
            search("b12380af-99e1", &["b12380af-99e1-4099-a362-e6715d62be78"], &["b1238890-24b9-4073-8d3e-5c2fe4387ca0"]),
            search("E6715D62BE78", &["b12380af-99e1-4099-a362-e6715d62be78"], &["b1238890-24b9-4073-8d3e-5c2fe4387ca0"]),
            search(
                "327a1*",
                &["UNIQUE_ID is 327a108e88c1469a895136f4ea158e39", "UNIQUE_ID is 327a1ea45258494a873a92e173c5431b"],
                &["UNIQUE_ID is 32a0864a717840e588e817c7a9fecf8a"],
            ),
            search("txd73c1f3da5d54b66bd504-005395dc54", &["txd73c1f3da5d54b66bd504-005395dc54"], &["txd73c852e2ba941cd80a90-005395da22", "tx27ebbb977fef4e09b9a92-005395dc54"]),
            search("broadcast_1_piece0", &["broadcast_1_piece0"], &["broadcast_10_piece0", "broadcast_11_piece0"]),
            search("rdd_2_1", &["block rdd_2_1 locally"], &["block rdd_2_2 locally", "block rdd_11_2 locally", "block rdd_11_1 locally"]),
            search("00000000000000715171.index", &["00000000000000715171.index.deleted"], &["00000000000000715171.timeindex.deleted", "00000000000000784917.index"]),
            search("*715171", &["segment 715171", "00000000000000715171.timeindex"], &["segment 784917", "segment 151162"]),
            search("fa:16:3e:5c:64:6b", &["fa:16:3e:5c:64:6b"], &["fa:16:3e:58:e6:1f", "fe80::fc16:3eff:fe5c:646b"]),
            search("trace_id:35ce19655cf344558ad48e81ad85c95a", &["[req-35ce1965-5cf3-4455-8ad4-8e81ad85c95a"], &["[req-24d21969-9186-4c21-ad1a-51df3204f378"]),
        ],
    ),
    (
        "Addresses",
        &[
            search("10.1.0.1", &["Allocated IP 10.1.0.1 ("], &["10.1.0.10 ", "10.1.0.11 ", "10.1.0.12 "]),
            search("127.0.0.1:9696", &["127.0.0.1:9696"], &["127.0.0.1:8776", "0.0.0.0:9696"]),
            search("kafka1:9092", &["broker kafka1:9092"], &["broker kafka0:9092", "broker kafka2:9092"]),
            search("91.197.232.109 1234", &["Invalid user 1234 from 91.197.232.109"], &["Invalid user ftp from 91.197.232.109", "Invalid user pi from 91.197.232.109"]),
        ],
    ),
    (
        "Paths",
        &[
            search(
                "/files/logstash/logstash-1.1.0-monolithic.jar",
                &["GET /files/logstash/logstash-1.1.0-monolithic.jar"],
                &["logstash-1.1.3-monolithic.jar", "logstash-1.3.2-monolithic.jar", "logstash-1.1.9-flatjar.jar"],
            ),
            search("/wp-login.php?action=register", &["/wp-login.php?action=register"], &["GET /wp-login.php HTTP"]),
            search("snapshot.db-wal", &["snapshot.db-wal"], &["snapshot.db-shm"]),
            search(
                r"C:\Users\John\AppData\Local\Google\Drive\user_default\snapshot.db",
                &[r"Deleting file C:\Users\John\AppData\Local\Google\Drive\user_default\snapshot.db failed"],
                &["/Users/johngalvin/Library/Application Support/Google/Drive/user_default/snapshot.db"],
            ),
            search("db_base_plugin_v2.py:463", &["db_base_plugin_v2.py:463"], &["db_base_plugin_v2.py:434"]),
            search("kafka-logs/test-1", &["/tmp/kafka-logs/test-1/"], &["/tmp/kafka-logs/test-5/", "for log test-1 for deletion"]),
        ],
    ),
    (
        "Names in code",
        &[
            search(
                "kafka.controller.KafkaController",
                &["(kafka.controller.KafkaController)"],
                &["(kafka.controller.ControllerChannelManager)", "(kafka.controller.TopicDeletionManager)"],
            ),
            search("LeaderAndIsr", &["received LeaderAndIsrRequest", "(LeaderAndIsrInfo:", "completed LeaderAndIsr request"], &["New leader and ISR for partition"]),
            search("FetcherManager", &["kafka.server.ReplicaFetcherManager"], &["[ReplicaFetcherThread-0-2], Starting"]),
            search("PartitionLeader", &["[OfflinePartitionLeaderSelector]"], &["NotLeaderForPartitionException", "New leader and ISR for partition"]),
            search("add_watch", &["inotify_add_watch"], &["_add_unique_id"]),
            search("elastic_user", &["elastic_user_4", "elastic_user_$login_count"], &["elastic_users"]),
        ],
    ),
    (
        "Exceptions and error codes",
        &[
            search("NotLeader*", &["NotLeaderForPartitionException"], &["NoReplicaOnlineException", "cannot become follower since the new leader"]),
            search("NoReplicaOnline", &["NoReplicaOnlineException"], &["from OfflineReplica to OnlineReplica"]),
            search("NullPointer", &["java.lang.NullPointerException"], &["nil pointer dereference", "java.lang.NumberFormatException"]),
            search("ConnectException", &["java.net.ConnectException: Connection refused"], &["ConnectionRefusedError: [Errno 111]", "kind: ConnectionRefused"]),
            search("NotFoundException", &["FileNotFoundException", "ClassNotFoundException", "KeyNotFoundException"], &["PortNotFound", "kind: NotFound"]),
            search(r#""KeyError: 'qty'""#, &["KeyError: 'qty'"], &["KeyError: 'fallback'"]),
            search("[Errno 111]", &["[Errno 111] Connection refused"], &["[Errno 2] No such file", "[Error 32]"]),
            search("ERR_BUFFER_OUT_OF_BOUNDS", &["ERR_BUFFER_OUT_OF_BOUNDS"], &["ERR_ASSERTION", "Index 2 out of bounds"]),
            search(r#""HTTP/1.1 404""#, &[r#"HTTP/1.1" 404"#], &[r#"HTTP/1.0" 404"#, "b404,b614 HTTP/1.1"]),
        ],
    ),
    (
        "Phrases",
        &[
            search(r#""Failed password for root""#, &["Failed password for root"], &["Failed password for invalid user"]),
            search(r#""invalid user pi""#, &["invalid user pi "], &["invalid user pruebas", "invalid user test"]),
            search(r#""New session 30 of""#, &["New session 30 of"], &["New session 300 of", "New session 3 of"]),
            search(
                "Expanding ISR [__consumer_offsets,2]",
                &["Expanding ISR for partition [__consumer_offsets,2]"],
                &["Expanding ISR for partition [__consumer_offsets,21]", "Expanding ISR for partition [__consumer_offsets,22]"],
            ),
        ],
    ),
    (
        "Pasted lines and stack frames",
        &[
            search(
                "Mar 29 14:15:50 ip-10-77-20-248 sshd[2414]: Failed password for invalid user pi from 181.25.206.27 port 50378 ssh2",
                &["Mar 29 14:15:50 ip-10-77-20-248 sshd[2414]: Failed password"],
                &["Mar 29 14:15:41 ip-10-77-20-248 sshd[2414]: Failed password", "sshd[2414]: Invalid user pi from 181.25.206.27", "port 50538 ssh2"],
            ),
            search(
                "[2016-12-19 20:54:32,968] WARN [Controller 0]: Cannot remove replica 2 from ISR of partition [__consumer_offsets,29] since it is \
                     not in the ISR. Leader = 0 ; ISR = List(0, 1) (kafka.controller.KafkaController)",
                &["[2016-12-19 20:54:32,968] WARN [Controller 0]: Cannot remove replica 2 from ISR of partition [__consumer_offsets,29]"],
                &["Cannot remove replica 2 from ISR of partition [__consumer_offsets,17]"],
            ),
            search(
                "66.249.73.135 - - [18/May/2015:03:05:34 +0000] \"GET /misc/Title.php.txt HTTP/1.1\" 500 - \"-\" \"Mozilla/5.0 (compatible; \
                     Googlebot/2.1; +http://www.google.com/bot.html)\"",
                &[r#"[18/May/2015:03:05:34 +0000] "GET /misc/Title.php.txt"#],
                &[r#"[18/May/2015:15:05:42 +0000] "GET /misc/Title.php.txt"#],
            ),
            search("at T.lambda$main$1(T.java:11)", &["at T.lambda$main$1(T.java:11)"], &["at T.lambda$main$17(T.java:11)", "at T.lambda$main$10(T.java:11)"]),
            search(r#"File "/srv/app/t.py", line 16, in ctx"#, &[r#"File "/srv/app/t.py", line 16, in ctx"#], &[r#"File "/srv/app/t.py", line 20, in <lambda>"#]),
            search("net/http.(*conn).serve", &["net/http.(*conn).serve("], &["appengine_internal.(*server)", "panics.nilPtrDereference"]),
            search("thread 'main' (2691) panicked at p.rs:14:59", &["thread 'main' (2691) panicked at p.rs:14:59"], &["panicked at p.rs:15:48", "thread 'main' (2693)"]),
            search(
                r#""depName":"rimraf","check":"stabilityDays""#,
                &[r#""depName":"rimraf","check":"stabilityDays""#],
                &[r#""depName":"prettier","check":"stabilityDays""#, r#""depName":"rimraf","bucket""#],
            ),
        ],
    ),
    (
        "Operators, fields and wildcards",
        &[
            search(r#"IOException -"was disconnected""#, &["java.io.IOException: Connection to kafka1:9092"], &["java.io.IOException: Connection to 1 was disconnected"]),
            search("10.1.0.5 (DHCPACK OR DHCPOFFER)", &["DHCPACK(br100) 10.1.0.5", "DHCPOFFER(br100) 10.1.0.5"], &["DHCPRELEASE(br100) 10.1.0.5", "DHCPACK(br100) 10.1.0.2"]),
            search(
                r#"91.197.232.109 ("Invalid user" OR "Failed password") -preauth -pi"#,
                &["Invalid user ftp from 91.197.232.109"],
                &["Invalid user pi from 91.197.232.109", "Invalid user test from 85.245.107.41"],
            ),
            search(r#"level>=error "No such file or directory" -service:udevd"#, &["/nonexistent (No such file or directory)"], &["inotify_add_watch"]),
            search("service:(cinder-api OR nova-api) level>=warn", &["WARNING cinder.quota"], &["returned with HTTP 200", "WARNING neutron.scheduler"]),
            search(
                "service:kafka?-server level:error",
                &["ERROR [ReplicaFetcherThread-0-2], Error for partition"],
                &["WARN [ReplicaFetcherThread", "ERROR Broker 0 received LeaderAndIsrRequest"],
            ),
            search("language:rust ConnectionRefused", &["kind: ConnectionRefused"], &["ConnectionRefusedError: [Errno 111]"]),
            search(
                r#""invalid user" timestamp:[2016-04-19T17:13:00Z TO 2016-04-19T17:14:00Z}"#,
                &["Apr 19 17:13:08 ip-10-77-20-248 sshd[3018]: Failed password for invalid user ubnt"],
                &[
                    "Apr 19 17:12:54 ip-10-77-20-248 sshd[3012]: Failed password for invalid user admin",
                    "Mar 29 14:15:50 ip-10-77-20-248 sshd[2414]: Failed password for invalid user pi",
                ],
            ),
            search("attributes.http.status>=500", &[r#"/misc/Title.php.txt HTTP/1.1" 500"#, "OPTIONS /projects/xdotool/"], &[r#"HTTP/1.1" 404"#]),
            search("attributes.http.bytes>40000000", &[r#"HTTP/1.1" 200 40923996"#, r#"HTTP/1.1" 200 54306753"#], &[r#"HTTP/1.1" 200 40464"#]),
            search("attributes.client.ip:66.249.66.194", &["66.249.66.194 - -"], &["66.249.66.91 - -", "66.249.66.197 - -"]),
            search("message:Traceback", &["logging_config.py:636 Traceback"], &["fileutils.pyo:630 Could not stat path"]),
        ],
    ),
];

const fn search(typed: &'static str, finds: &'static [&'static str], leaves_out: &'static [&'static str]) -> Search {
    Search { typed, finds, leaves_out }
}
