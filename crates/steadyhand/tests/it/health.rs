//! Contract 0.3, 0.6, 1.2, 1.11, 5.1, 6.1: the services say how they are.
//!
//! - 0.6: each service answers `/healthz`, `/` and `/status`, and needs no token for it
//! - 1.2 (pinned): `/healthz` is 200 with `ok` and `service`; `/status` is 200 with or without a correlation id
//! - 0.3: times of gateway and executor end in `Z`, the supervisor's carry no zone
//! - 5.1, 6.1: counts of tools, counts of the gate

use crate::support::{Call, Service, Token, both_auths, is_time, until};

#[tokio::test]
async fn each_service_answers_its_trio_without_a_token() {
    both_auths(async |stack| {
        for service in Service::ALL {
            let client = stack.client(service, Token::None);
            let health = client.get("/healthz").await.ok();
            assert_eq!((&health["ok"], &health["service"]), (&true.into(), &service.name().into()));
            let suffix = if service == Service::Supervisor { "" } else { "Z" };
            assert!(is_time(&health["timestamp"], suffix), "{health}");
            let root = client.get("/").await.ok();
            assert_eq!(root["service"], service.name());
            assert_eq!(root["status"], "online");
            assert_eq!(root["version"], "1.0.0");
            for call in [Call::get("/status"), Call::get("/status").header("x-correlation-id", "mine")] {
                let status = client.send(call).await.ok();
                assert_eq!((&status["service"], &status["status"]), (&root["service"], &root["status"]));
            }
            let openapi = client.get("/openapi.json").await.ok();
            assert_eq!(openapi["openapi"], "3.1.0");
            assert!(openapi["paths"]["/healthz"]["get"].is_object());
        }
        let docs = stack.client(Service::Gateway, Token::None).get("/docs").await;
        assert_eq!(docs.status, 200);
        assert!(docs.text.contains("/v1/actions/plan"), "{}", docs.text);
    })
    .await;
}

#[tokio::test]
async fn counts_in_health_are_counted() {
    both_auths(async |stack| {
        let capabilities = stack.get("/v1/capabilities").await.ok();
        let tools = stack.executor().get("/healthz").await.ok();
        assert_eq!(tools["tools_registered"], 13);
        assert_eq!(tools["tools_implemented"], capabilities["stats"]["implemented"]);
        let before = stack.supervisor().get("/healthz").await.ok();
        assert_eq!(before["safety"]["guard_evaluations"], 0);
        let call = serde_json::json!({"tool_name": "file.write", "args": {"path": "a"}, "id": "t"});
        stack.supervisor().post("/gate-tool-call", call).await.ok();
        let after = stack.supervisor().get("/healthz").await.ok();
        assert_eq!(after["safety"]["guard_evaluations"], 1);
        assert_eq!(after["safety"]["pending_confirmations"], 1);
        assert_eq!(after["safety"]["total_tokens"], 1);
    })
    .await;
}

#[tokio::test]
async fn the_others_are_looked_at_and_not_assumed() {
    both_auths(async |stack| {
        let all = stack.supervisor().get("/health/all").await.ok();
        assert!(is_time(&all["timestamp"], ""));
        for name in ["api-gateway", "openclaw"] {
            assert_eq!(all["services"][name]["status"], "healthy", "{all}");
            assert!(is_time(&all["services"][name]["last_check"], ""), "{all}");
        }
        let summary = until("the first looks", async || {
            let summary = stack.get("/v1/health/summary").await.ok();
            (summary["dependencies"]["openclaw"]["total_checks"] != 0).then_some(summary)
        })
        .await;
        assert_eq!(summary["ok"], true);
        assert_eq!(summary["dependencies"]["openclaw"]["state"], "healthy", "{summary}");
        assert_eq!(summary["dependencies"]["openclaw"]["consecutive_failures"], 0);
        assert_eq!(summary["dependencies"]["model-router"]["configured"], false);
    })
    .await;
}
