"""Gives a synthetic to the client library named on the command line, then a broken twin of it.

Says `taken` where the library makes something of the synthetic, and `refused` where it will not have the twin;
`takes anything` for those few that look at nothing before they ask their server.
Nothing here reaches a network.
"""

import base64
import copy
import io
import json
import os
import subprocess
import sys

HOME = os.path.expanduser("~")


def openai():
    import openai

    key = os.environ["OPENAI_API_KEY"]
    assert openai.OpenAI().auth_headers == {"Authorization": "Bearer " + key}
    yield
    del os.environ["OPENAI_API_KEY"]
    yield openai.OpenAIError, openai.OpenAI


def anthropic():
    import anthropic

    key = os.environ["ANTHROPIC_API_KEY"]
    assert anthropic.Anthropic().auth_headers == {"X-Api-Key": key}
    yield
    del os.environ["ANTHROPIC_API_KEY"]
    ask = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}
    yield (TypeError, anthropic.AnthropicError), lambda: anthropic.Anthropic(max_retries=0).messages.create(**ask)


def stripe():
    import stripe

    key = os.environ["STRIPE_SECRET_KEY"]
    assert key.startswith("sk_live_") and stripe.StripeClient(key)
    yield
    yield stripe.AuthenticationError, lambda: stripe.StripeClient(None)


def twilio():
    from twilio.rest import Client

    sid, token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
    client = Client(sid, token)
    assert sid in client.api.account.messages._uri and len(token) == 32
    int(token, 16)
    yield


def boto3():
    import boto3
    from botocore.exceptions import PartialCredentialsError

    url = boto3.client("s3", region_name="eu-central-1").generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"})
    assert os.environ["AWS_ACCESS_KEY_ID"] in url and "Signature=" in url
    yield
    del os.environ["AWS_SECRET_ACCESS_KEY"]
    boto3.DEFAULT_SESSION = None
    yield PartialCredentialsError, lambda: boto3.client("s3", region_name="eu-central-1")


def google():
    from google.oauth2.service_account import Credentials

    info = json.loads(os.environ["GOOGLE_CREDENTIALS"])
    signed = Credentials.from_service_account_info(info).sign_bytes(b"anything")
    assert len(signed) == 256 and info["client_email"] == "robot@shop.iam.gserviceaccount.com"
    yield
    broken = copy.deepcopy(info)
    body = broken["private_key"].splitlines()
    body[3] = body[3][::-1]
    broken["private_key"] = "\n".join(body)
    yield ValueError, lambda: Credentials.from_service_account_info(broken)


def psycopg():
    import psycopg

    url = os.environ["DATABASE_URL"]
    parts = psycopg.conninfo.conninfo_to_dict(url)
    assert parts["user"] == "app" and parts["password"]
    yield
    yield psycopg.ProgrammingError, lambda: psycopg.conninfo.conninfo_to_dict(url.replace("app:", "app:%zz"))


def sqlalchemy():
    import sqlalchemy

    url = os.environ["DATABASE_URL"]
    assert sqlalchemy.engine.make_url(url).password
    yield
    yield sqlalchemy.exc.ArgumentError, lambda: sqlalchemy.engine.make_url(url.replace("://", ":"))


def pymongo():
    import pymongo

    url = os.environ["MONGODB_URI"]
    parts = pymongo.uri_parser.parse_uri(url)
    assert (parts["username"], parts["database"]) == ("app", "shop") and parts["password"]
    assert pymongo.MongoClient(url, connect=False)
    yield
    errors = pymongo.errors.InvalidURI, pymongo.errors.ConfigurationError
    yield errors, lambda: pymongo.uri_parser.parse_uri(url.replace("app:", "app:@/"))


def redis():
    import redis

    url = os.environ["REDIS_URL"]
    arguments = redis.Redis.from_url(url).connection_pool.connection_kwargs
    assert arguments["password"] and arguments["password"] in url and arguments["db"] == 2
    yield
    yield ValueError, lambda: redis.Redis.from_url(url.replace("://", ":"))


def azure_storage():
    from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes, generate_account_sas

    client = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"])
    rights = ResourceTypes(service=True), AccountSasPermissions(read=True), "2030-01-01T00:00:00Z"
    assert client.account_name == "shop"
    assert "sig=" in generate_account_sas("shop", client.credential.account_key, *rights)
    yield
    yield Exception, lambda: generate_account_sas("shop", client.credential.account_key[:-3], *rights)


def azure_identity():
    from azure.identity import ClientSecretCredential

    tenant, secret = "11111111-2222-3333-4444-555555555555", os.environ["AZURE_CLIENT_SECRET"]
    assert ClientSecretCredential(tenant, tenant, secret)
    yield
    yield ValueError, lambda: ClientSecretCredential(tenant, tenant, "")


def pyjwt():
    import jwt

    token = os.environ["SESSION_JWT"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["role"] == "admin" and claims["exp"] == 4102444800
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    yield
    head = token.rsplit(".", 1)[0]
    yield jwt.DecodeError, lambda: jwt.decode(head, options={"verify_signature": False})


def paramiko():
    import paramiko

    kinds = {"RSA_KEY": paramiko.RSAKey, "ED25519_KEY": paramiko.Ed25519Key, "ECDSA_KEY": paramiko.ECDSAKey}
    for name, kind in kinds.items():
        key = kind.from_private_key(io.StringIO(os.environ[name]))
        signature = paramiko.Message(key.sign_ssh_data(b"data").asbytes())
        assert kind(data=key.asbytes()).verify_ssh_sig(b"data", signature), name
    yield
    lines = os.environ["RSA_KEY"].splitlines(keepends=True)
    short = "".join(lines[:5] + lines[6:])
    yield Exception, lambda: paramiko.RSAKey.from_private_key(io.StringIO(short))


def ssh_keygen():
    def read(text):
        with open("key", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)
        done = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", "key"], capture_output=True, check=False)
        os.unlink("key")
        if done.returncode != 0:
            raise ValueError(done.stderr)
        return done.stdout

    for name, kind in {"RSA_KEY": b"ssh-rsa", "ED25519_KEY": b"ssh-ed25519", "ECDSA_KEY": b"ecdsa-sha2"}.items():
        assert read(os.environ[name]).startswith(kind), name
    yield
    lines = os.environ["ED25519_KEY"].splitlines(keepends=True)
    yield ValueError, lambda: read("".join(lines[:2] + lines[3:]))


def openssl():
    def check(text):
        done = subprocess.run(["openssl", "pkey", "-check", "-noout"], input=text.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr)

    for name in ["PKCS8_KEY", "PKCS1_KEY", "DEPLOY_KEY"]:
        check(os.environ[name])
    yield
    lines = os.environ["PKCS1_KEY"].splitlines(keepends=True)
    lines[4] = lines[4].strip()[::-1] + "\n"
    yield ValueError, lambda: check("".join(lines))


def docker():
    import docker

    config = docker.auth.load_config(f"{HOME}/.docker/config.json")
    login = docker.auth.resolve_authconfig(config, "registry.example.com")
    assert login["username"] == "ada" and len(login["password"]) == 20
    yield
    yield Exception, lambda: docker.auth.decode_auth("no-colon-inside")


def kubernetes():
    import yaml
    from kubernetes import client, config

    path = f"{HOME}/.kube/config"
    loaded = client.Configuration()
    config.load_kube_config(path, client_configuration=loaded)
    assert loaded.host == "https://cluster.example.com:6443"
    with open(loaded.key_file, encoding="ascii") as file:
        assert file.read().startswith("-----BEGIN PRIVATE KEY-----")
    yield
    with open(path, encoding="utf-8") as file:
        broken = yaml.safe_load(file)
    broken["users"][0]["user"]["client-key-data"] = "*"
    broken["contexts"][0]["context"].pop("user")
    yield Exception, lambda: config.load_kube_config_from_dict(
        broken, client_configuration=client.Configuration(), context="none"
    )


def npm():
    settings = ["--offline", "--logs-max=0", "--update-notifier=false", "--cache", "/tmp/npm", "--userconfig"]
    listed = subprocess.run(["npm", "config", "list", "--json", *settings, f"{HOME}/.npmrc"], capture_output=True, check=False)
    assert json.loads(listed.stdout)["registry"] == "https://registry.npmjs.org/", listed.stderr
    with open(f"{HOME}/.npmrc", encoding="utf-8") as file:
        token = file.read().rsplit("_authToken=", 1)[1].strip()
    assert token.startswith("npm_") and len(token) == 40
    yield


def main():
    steps = globals()[sys.argv[1]]()
    next(steps)
    print("taken")
    errors, twin = next(steps, (None, None))
    if twin is None:
        print("takes anything")
        return
    try:
        twin()
    except errors:
        print("refused")
    else:
        print("the twin was taken as well")


main()
