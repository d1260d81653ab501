//! Contract 0.1, 0.4: what a caller hears when there is no better answer, in each service's own shape.
//!
//! - 404, 405, 307 of any path; 422 with `type`, `loc`, `msg`, `input`, `ctx`
//! - 401 with `WWW-Authenticate`; 403 for scope, `Host`, `Origin`; 413, 431, 429 with `Retry-After`
//! - the gateway's are envelopes (0.5) with the caller's correlation id, the others' `{"detail"}`
//! - a missing thing: the gateway's `{"ok","error"}`, the executor's `{"status","message","timestamp"}`

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Service, Stack, Token, both_auths, is_id, is_time};

const CORRELATION: &str = "corr-of-the-test";

/// A refusal before any route, in the shape of the service.
#[track_caller]
fn is_refused(service: Service, answer: &Answer, status: u16, code: &str, path: &str) {
    assert_eq!(answer.status, status, "{service:?} {}", answer.text);
    if service == Service::Gateway {
        let body = &answer.body;
        assert_eq!(body["ok"], false);
        assert_eq!(body["service"], "api-gateway");
        assert_eq!(body["operation"], path);
        assert_eq!(body["correlation_id"], CORRELATION);
        assert!(body["duration_ms"].is_number());
        assert_eq!(body["data"], Value::Null);
        assert_eq!(body["error"]["code"], code);
        assert_eq!(body["error"]["details"], json!({}));
        assert!(body["error"]["message"].as_str().is_some_and(|m| !m.is_empty()));
    } else {
        assert!(answer.body["detail"].as_str().is_some_and(|m| !m.is_empty()), "{}", answer.text);
        assert_eq!(answer.body.as_object().unwrap().len(), 1, "{}", answer.text);
    }
    assert_eq!(answer.header("x-correlation-id"), "", "the id isn't copied to a header");
}

/// A path of the service that needs the scope `read`.
fn readable(service: Service) -> &'static str {
    match service {
        Service::Gateway => "/v1/actions",
        Service::Executor => "/tools",
        Service::Supervisor => "/approvals",
    }
}

fn get(path: &str) -> Call {
    Call::get(path).header("x-correlation-id", CORRELATION)
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_slashes_have_fixed_answers() {
    both_auths(async |stack| {
        for service in Service::ALL {
            let client = stack.client(service, Token::Operator);
            for path in ["/nothing", "/v1", "/v2/actions", "//", "/healthz/x", "/%2e%2e/etc/passwd"] {
                let answer = client.get(path).await;
                assert_eq!((answer.status, answer.body), (404, json!({"detail": "Not Found"})), "{path}");
            }
            let wrong = client.send(Call::new(Method::DELETE, readable(service))).await;
            assert_eq!((wrong.status, &wrong.body), (405, &json!({"detail": "Method Not Allowed"})));
            let health = client.send(Call::new(Method::POST, "/healthz")).await;
            assert_eq!(health.status, 405);
            for (asked, location) in [("/", ""), ("/?limit=1&x=%20", "?limit=1&x=%20")] {
                let path = format!("{}{asked}", readable(service));
                let slash = client.get(&path).await;
                assert_eq!((slash.status, slash.text.as_str()), (307, ""), "{path}");
                assert_eq!(slash.header("location"), format!("{}{location}", readable(service)));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_slash_never_redirects_to_another_site() {
    let stack = Stack::builder().start().await;
    for path in ["//evil.example/", "/\\evil.example/", "//v1/actions/"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = stack.gateway().raw(head.as_bytes()).await.to_lowercase();
        assert!(!answer.contains("location:"), "{path}: {answer}");
        assert!(!answer.starts_with("http/1.1 307"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_named_field_by_field() {
    both_auths(async |stack| {
        let plan = "/v1/actions/plan";
        let rows = [
            (
                json!({"params": {}}),
                json!({"type": "missing", "loc": ["body", "intent"], "msg": "Field required",
                "input": {"params": {}}}),
            ),
            (
                json!({"intent": "file.read", "timeout_ms": 99}),
                json!({"type": "greater_than_equal",
                "loc": ["body", "timeout_ms"], "msg": "Input should be greater than or equal to 100",
                "input": 99, "ctx": {"ge": 100}}),
            ),
            (
                json!({"intent": "file.read", "timeout_ms": 120_001}),
                json!({"type": "less_than_equal",
                "loc": ["body", "timeout_ms"], "msg": "Input should be less than or equal to 120000",
                "input": 120_001, "ctx": {"le": 120_000}}),
            ),
            (
                json!({"intent": "file.read", "max_retries": 6}),
                json!({"type": "less_than_equal",
                "loc": ["body", "max_retries"], "msg": "Input should be less than or equal to 5",
                "input": 6, "ctx": {"le": 5}}),
            ),
            (
                json!({"intent": "file.read", "deadline_ms": 600_001}),
                json!({"type": "less_than_equal",
                "loc": ["body", "deadline_ms"], "msg": "Input should be less than or equal to 600000",
                "input": 600_001, "ctx": {"le": 600_000}}),
            ),
        ];
        for (body, expected) in rows {
            let answer = stack.post(plan, body).await;
            assert_eq!((answer.status, answer.body), (422, json!({"detail": [expected]})));
        }
        let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("p{n}"), json!(n))).collect();
        for (body, kind) in [
            (json!({"intent": 1}), "string_type"),
            (json!({"intent": "file.read", "params": []}), "dict_type"),
            (json!({"intent": "file.read", "dry_run": "maybe"}), "bool_parsing"),
            (json!({"intent": "file.read", "timeout_ms": "soon"}), "int_parsing"),
            (json!({"intent": "file.read", "idempotency_key": "k".repeat(201)}), "string_too_long"),
            (json!({"intent": "i".repeat(201)}), "string_too_long"),
            (json!({"intent": "file.read", "session_id": "s".repeat(201)}), "string_too_long"),
            (json!({"intent": "file.read", "params": {"p".repeat(201): 1}}), "too_long"),
            (json!({"intent": "file.read", "params": many}), "too_long"),
        ] {
            let answer = stack.post(plan, body.clone()).await;
            assert_eq!((answer.status, &answer.body["detail"][0]["type"]), (422, &kind.into()), "{body}");
        }
        for text in ["", "{", "not json", "{\"intent\": \"file.read\",}", "\u{0}", &"[".repeat(100_000)] {
            let answer = stack.gateway().send(Call::new(Method::POST, plan).text(text)).await;
            assert_eq!(answer.status, 422, "{}", answer.text);
        }
        let query = stack.get("/v1/actions?limit=ten").await;
        assert_eq!(query.status, 422);
        assert_eq!(query.body["detail"][0]["loc"], json!(["query", "limit"]));
        assert_eq!(query.body["detail"][0]["type"], "int_parsing");
        let execute = stack.executor().post("/execute", json!({"args": {}})).await;
        assert_eq!((execute.status, &execute.body["detail"][0]["loc"]), (422, &json!(["body", "tool_name"])));
        assert_eq!(stack.get("/v1/actions").await.ok()["total"], 0, "nothing of this was kept");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_missing_in_each_services_words() {
    both_auths(async |stack| {
        for path in
            ["/v1/actions/act_0000000000000000", "/v1/audit-trails/act_0000000000000000", "/v1/actions/%00"]
        {
            let answer = stack.get(path).await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(
                (&answer.body["ok"], &answer.body["error"]["code"]),
                (&json!(false), &json!("NOT_FOUND"))
            );
            assert!(answer.body["error"]["message"].is_string());
        }
        let tool = stack.client(Service::Executor, Token::Operator).get("/tools/no.such").await;
        assert_eq!(tool.status, 404);
        assert_eq!(tool.body["status"], "error");
        assert_eq!(tool.body["message"], "Tool not found: no.such");
        assert!(is_time(&tool.body["timestamp"], "Z"));
    })
    .await;
}

#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nothing_but_health_answers() {
    let stack = Stack::builder().auth(true).start().await;
    let agent = stack.token("agent");
    let tokens = [
        Token::None,
        Token::Text(String::new()),
        Token::Text(format!("sth_{}", "0".repeat(64))),
        Token::Text(agent[..agent.len() - 1].to_owned()),
        Token::Text(agent.to_uppercase()),
    ];
    for service in Service::ALL {
        for token in &tokens {
            let answer = stack.client(service, token.clone()).send(get(readable(service))).await;
            is_refused(service, &answer, 401, "UNAUTHENTICATED", readable(service));
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let client = stack.client(service, Token::None);
        let basic = get(readable(service)).header("authorization", &format!("Basic {agent}"));
        is_refused(service, &client.send(basic).await, 401, "UNAUTHENTICATED", readable(service));
        let lower = get(readable(service)).header("authorization", &format!("bearer {agent}"));
        assert_eq!(client.send(lower).await.status, 200);
    }
}

#[tokio::test]
async fn other_hosts_and_other_sites_are_refused_with_and_without_tokens() {
    both_auths(async |stack| {
        let port = stack.base();
        for service in Service::ALL {
            let client = stack.client(service, Token::Operator);
            let path = readable(service);
            let evil = [
                ("host", "evil.example"),
                ("host", "127.0.0.1.evil.example"),
                ("host", "localhost.evil.example:80"),
                ("host", "[::1"),
                ("host", ""),
                ("origin", "https://evil.example"),
                ("origin", "http://127.0.0.1.evil.example"),
                ("origin", "http://evil.example:7000"),
                ("origin", "null"),
                ("origin", "file://"),
            ];
            for (name, value) in evil {
                let answer = client.send(get(path).header(name, value)).await;
                is_refused(service, &answer, 403, "FORBIDDEN", path);
                // Health tells other sites nothing either.
                assert_eq!(
                    client.send(get("/healthz").header(name, value)).await.status,
                    403,
                    "{name}: {value}"
                );
            }
            let own = [
                ("host", "localhost".to_owned()),
                ("host", format!("LOCALHOST:{port}")),
                ("host", format!("[::1]:{port}")),
                ("origin", format!("http://127.0.0.1:{port}")),
                ("origin", "http://localhost".to_owned()),
            ];
            for (name, value) in own {
                assert_eq!(client.send(get(path).header(name, &value)).await.status, 200, "{name}: {value}");
            }
            let cors = client.send(get(path).header("origin", "http://localhost")).await;
            assert_eq!(cors.header("access-control-allow-origin"), "", "no CORS");
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_and_headers_beyond_their_bounds_are_refused() {
    let bounds = "[limits]\nbody_bytes_max = 65536\nheader_bytes_max = 8192\n";
    let stack = Stack::builder().config(bounds).start().await;
    for (service, path) in [
        (Service::Gateway, "/v1/actions/plan"),
        (Service::Executor, "/execute"),
        (Service::Supervisor, "/approve"),
    ] {
        let client = stack.client(service, Token::Operator);
        let post = |bytes: usize| {
            let call =
                Call::post(path, &json!({"intent": "x", "tool_name": "x", "filler": "y".repeat(bytes)}));
            call.header("x-correlation-id", CORRELATION)
        };
        is_refused(service, &client.send(post(65_536)).await, 413, "BODY_TOO_LARGE", path);
        assert_eq!(client.send(post(65_000)).await.status, 200);
        let chunk = format!("{{\"filler\":\"{}\"}}", "z".repeat(70_000));
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             {:x}\r\n{chunk}\r\n0\r\n\r\n",
            chunk.len(),
        );
        let answer = client.raw(chunked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{service:?} {answer}");
        let long = get(path).header("x-filler", &"h".repeat(8192));
        is_refused(service, &client.send(long).await, 431, "HEADERS_TOO_LARGE", path);
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait_and_others_are_not() {
    let stack = Stack::builder().auth(true).config("[limits]\nrequests_per_second = 2\n").start().await;
    for service in Service::ALL {
        let client = stack.client(service, Token::Agent);
        let mut refused = None;
        for _ in 0..50 {
            let answer = client.send(get(readable(service))).await;
            if answer.status != 200 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("50 requests in a row are more than 2 a second");
        is_refused(service, &refused, 429, "RATE_LIMITED", readable(service));
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(stack.client(service, Token::Operator).get(readable(service)).await.status, 200);
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_only() {
    let stack = Stack::builder().start().await;
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/actions/plan HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/actions/plan HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 9\r\n\r\nabcde",
    ];
    for bytes in garbage {
        for service in Service::ALL {
            let answer = stack.client(service, Token::None).raw(bytes).await;
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
            assert!(refused, "{service:?}: {answer}");
            assert_eq!(stack.client(service, Token::None).get("/healthz").await.status, 200);
        }
    }
    let endless = format!("GET /v1/actions HTTP/1.1\r\nhost: localhost\r\nx: {}", "a".repeat(300 * 1024));
    let answer = stack.gateway().raw(endless.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn idle_connections_hold_up_one_service_at_most_and_only_while_they_are_there() {
    let stack = Stack::builder().config("[limits]\nconnections_max = 8\n").start().await;
    let mut idle = Vec::new();
    for _ in 0..32 {
        idle.push(tokio::net::TcpStream::connect(("127.0.0.1", stack.base())).await.unwrap());
    }
    for other in [Service::Executor, Service::Supervisor] {
        assert_eq!(stack.client(other, Token::None).get("/healthz").await.status, 200);
    }
    drop(idle);
    assert_eq!(stack.get("/v1/actions").await.status, 200);
}

#[tokio::test]
async fn a_correlation_id_is_kept_or_made_and_never_a_header() {
    both_auths(async |stack| {
        let plan = |call: Call| async { stack.gateway().send(call).await };
        let body = json!({"intent": "no.such"});
        let kept = plan(Call::post("/v1/actions/plan", &body).header("x-correlation-id", CORRELATION)).await;
        assert_eq!(kept.body["correlation_id"], CORRELATION);
        assert_eq!(kept.header("x-correlation-id"), "");
        assert_eq!(stack.record(&kept.body).await["correlation_id"], CORRELATION);
        for odd in ["", &"c".repeat(201)] {
            let made = plan(Call::post("/v1/actions/plan", &body).header("x-correlation-id", odd)).await;
            assert!(is_id(&made.body["correlation_id"], "req_", 12), "{}", made.text);
        }
        let (one, two) =
            (stack.post("/v1/actions/plan", body.clone()).await, stack.post("/v1/actions/plan", body).await);
        assert!(is_id(&one.body["correlation_id"], "req_", 12), "{}", one.text);
        assert_ne!(one.body["correlation_id"], two.body["correlation_id"]);
    })
    .await;
}
