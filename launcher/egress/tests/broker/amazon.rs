//! AWS requests: signed inside with the synthetic key, valid outside with the real one.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::harness::{Plan, full};
use crate::made_up::word;

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What the server computes, written apart from the code under test.
fn signature(secret: &str, body: &str, token: &str) -> String {
    let hash = |text: &str| data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    let canonical = format!(
        "POST\n/\n\nhost:sts.amazonaws.com\nx-amz-date:20260101T000000Z\nx-amz-security-token:{token}\n\n\
         host;x-amz-date;x-amz-security-token\n{}",
        hash(body)
    );
    let scope = "20260101/us-east-1/sts/aws4_request";
    let to_sign = format!("AWS4-HMAC-SHA256\n20260101T000000Z\n{scope}\n{}", hash(&canonical));
    let key = hmac(format!("AWS4{secret}").as_bytes(), "20260101");
    let key = ["us-east-1", "sts", "aws4_request"].iter().fold(key, |key, part| hmac(&key, part));
    data_encoding::HEXLOWER.encode(&hmac(&key, &to_sign))
}

#[tokio::test]
async fn a_signature_is_made_anew_with_the_real_key() {
    let id =
        format!("{}{}", "AKIA", word(64).to_uppercase().replace(['0', '1', '8', '9'], "")[..16].to_owned());
    let mut plan = Plan::github().at("sts.amazonaws.com");
    plan.secrets = vec![
        ("AWS_ACCESS_KEY_ID", id.clone()),
        ("AWS_SECRET_ACCESS_KEY", word(40)),
        ("AWS_SESSION_TOKEN", format!("{}{}", "IQoJb3JpZ2lu", word(300))),
    ];
    let world = plan.build().await;
    let [key, secret, token] = world.pairs.as_slice() else { panic!("three secrets") };
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let authorization = |id: &str, signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/20260101/us-east-1/sts/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-security-token, Signature={signature}"
        )
    };
    let inside = signature(&secret.synthetic, body, &token.synthetic);
    let request = world
        .request("POST", "/")
        .header("x-amz-date", "20260101T000000Z")
        .header("x-amz-security-token", &token.synthetic)
        .header("authorization", authorization(&key.synthetic, &inside))
        .body(full(body))
        .expect("a request");
    let (response, told) = world.ask(request).await;
    assert_eq!(response.status().as_u16(), 200, "{}", String::from_utf8_lossy(&told));
    let asked = world.asked_once();
    let outside = signature(&secret.real, body, &token.real);
    assert_eq!(asked.headers["authorization"], authorization(&key.real, &outside));
    assert_eq!(asked.headers["x-amz-security-token"], token.real);
    assert_eq!(asked.body, body.as_bytes());
}
