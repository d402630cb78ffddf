//! The layer asks no more of the inner service than it needs. The service, its requests and its futures need be neither
//! `Send` nor `'static`.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

use crate::{miss_and_hit, support::Setup};

/// Records the bodies of requests in a place that it borrows from its caller.
#[derive(Clone)]
struct Local<'a> {
    seen: &'a RefCell<Vec<String>>,
    not_send: Rc<()>,
}

impl<'a, B> Service<Request<B>> for Local<'a>
where
    B: AsRef<str> + 'a,
{
    type Response = Response<Rc<str>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let local = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let id = request.headers().contains_key("x-session-id");
            let body = request.body().as_ref();
            local.seen.borrow_mut().push(format!("{body} {id}"));
            drop(local.not_send);
            Ok(Response::new(Rc::from("done")))
        })
    }
}

fn post<B>(body: B) -> Request<B> {
    Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
        .body(body)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_may_hold_an_rc_and_the_service_may_borrow() {
    let setup = Setup::new();
    let seen = RefCell::new(Vec::new());
    for layer in miss_and_hit(&setup).await {
        let service = layer.layer(Local {
            seen: &seen,
            not_send: Rc::new(()),
        });
        let body: Rc<str> = Rc::from("counted");
        let response = service.oneshot(post(body)).await.unwrap();
        assert_eq!(&**response.body(), "done");
    }
    assert_eq!(*seen.borrow(), ["counted true", "counted true"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_borrowed() {
    let setup = Setup::new();
    let text = String::from("borrowed");
    let seen = RefCell::new(Vec::new());
    for layer in miss_and_hit(&setup).await {
        let service = layer.layer(Local {
            seen: &seen,
            not_send: Rc::new(()),
        });
        service.oneshot(post(text.as_str())).await.unwrap();
    }
    assert_eq!(*seen.borrow(), ["borrowed true", "borrowed true"]);
}

#[tokio::test(start_paused = true)]
async fn a_local_task_may_wait_for_its_session() {
    let setup = Setup::new();
    let seen: &'static RefCell<Vec<String>> = Box::leak(Box::default());
    let tasks = tokio::task::LocalSet::new();
    for layer in miss_and_hit(&setup).await {
        for _ in 0..3 {
            let service = layer.layer(Local {
                seen,
                not_send: Rc::new(()),
            });
            tasks.spawn_local(service.oneshot(post(Rc::<str>::from("local"))));
        }
    }
    tasks.await;
    assert_eq!(*seen.borrow(), ["local true"; 6]);
    assert_eq!(setup.creates(), 2, "one for each manager");
}

/// With a `Send` service, the layer's futures are `Send`. Otherwise nobody could spawn them.
#[test]
fn a_send_service_has_send_futures() {
    fn send<T: Send>() {}
    type Inner = sipher_session::testing::FakeSipher;
    send::<sipher_session::SessionService<Inner>>();
    send::<sipher_session::layer::ResponseFuture<Inner, crate::support::Call>>();
}
