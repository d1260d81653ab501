//! Contract 0.6, 1.2, 5.1, 6.1: the health trio of each service.

use crate::support::{Service, Token, both_auths};

#[tokio::test]
async fn each_service_answers_its_trio_without_a_token() {
    both_auths(async |stack| {
        for service in Service::ALL {
            let client = stack.client(service, Token::None);
            let health = client.get("/healthz").await.ok();
            assert_eq!((&health["ok"], &health["service"]), (&true.into(), &service.name().into()));
            let root = client.get("/").await.ok();
            assert_eq!(root["service"], service.name());
            assert_eq!(root["status"], "online");
            assert_eq!(root["version"], "1.0.0");
            assert_eq!(client.get("/status").await.ok()["service"], service.name());
        }
    })
    .await;
}
