//! `/openapi.json` of a service, from its table of routes.

use serde_json::{Map, Value, json};

use super::{
    problem::Service,
    route::{Access, Route},
};

/// The OpenAPI 3.1 document of a service's routes.
#[must_use]
pub fn document(service: Service, routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        let method = route.method.as_str().to_lowercase();
        if let Value::Object(path) = path {
            path.insert(method, operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("Steadyhand: {}", service.as_str()),
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    })
}

fn operation(route: &Route) -> Value {
    let parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let security = match route.access {
        Access::Open => json!([]),
        Access::Needs(_) | Access::NeedsUnlessDryRun(_) | Access::ServiceOrAdmin => json!([{"bearer": []}]),
    };
    let scope = match route.access {
        Access::Open => "no token".to_owned(),
        Access::Needs(scope) => format!("{scope:?}").to_lowercase(),
        Access::NeedsUnlessDryRun(scope) => format!("{scope:?}, or read with dry_run").to_lowercase(),
        Access::ServiceOrAdmin => "service or admin".to_owned(),
    };
    json!({
        "summary": route.summary,
        "description": format!("Scope: {scope}."),
        "parameters": parameters,
        "security": security,
        "responses": {"200": {"description": "The answer.", "content": {"application/json": {}}}},
    })
}
