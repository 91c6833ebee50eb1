#include "crypto/ed25519.h"

#include "crypto/base64.h"
#include "crypto/json-writer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* Appendices, "Cryptographic Test Vectors". There the last letter is "1", with bits that mean
 * nothing set. */
#define SEED "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0"

static CmSigningKey *
vector_key (void)
{
  guint8 seed[32];
  g_assert_true (cm_base64_decode_exact (SEED, seed, sizeof seed));
  CmSigningKey *key = cm_signing_key_new ("ed25519:1", seed, NULL);
  g_assert_nonnull (key);
  return key;
}

static CmJsonDoc *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  CmJsonDoc *doc = cm_json_parse (text, strlen (text), &error);
  g_assert_no_error (error);
  return doc;
}

static void
assert_written (const CmJsonDoc *doc, const char *expected)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_put_node (writer, NULL, cm_json_doc_root (doc));
  g_autofree char *text = cm_json_writer_end_text (writer);
  g_assert_cmpstr (text, ==, expected);
}

static void
test_vectors (void)
{
  static const char *const rows[][2] = {
    { "{}", "{\"signatures\":{\"domain\":{\"ed25519:1\":"
            "\"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/"
            "7Xg4ahLwYGYZzuHGZKM5ZAQ\"}}}" },
    { "{\"two\": \"Two\", \"one\": 1}",
      "{\"one\":1,\"signatures\":{\"domain\":{\"ed25519:1\":"
      "\"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/"
      "fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw\"}},\"two\":\"Two\"}" },
    /* The minimally-sized event, with its content hash in place. */
    { "{\"room_id\":\"!x:domain\",\"sender\":\"@a:domain\",\"origin\":\"domain\",\"origin_server_"
      "ts\":1000000,"
      "\"signatures\":{},\"hashes\":{\"sha256\":\"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos\"},"
      "\"type\":\"X\","
      "\"content\":{},\"prev_events\":[],\"auth_events\":[],\"depth\":3,\"unsigned\":{\"age_ts\":"
      "1000000}}",
      "{\"auth_events\":[],\"content\":{},\"depth\":3,"
      "\"hashes\":{\"sha256\":\"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos\"},\"origin\":"
      "\"domain\","
      "\"origin_server_ts\":1000000,\"prev_events\":[],\"room_id\":\"!x:domain\",\"sender\":\"@a:"
      "domain\","
      "\"signatures\":{\"domain\":{\"ed25519:1\":"
      "\"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg\"}}"
      ","
      "\"type\":\"X\",\"unsigned\":{\"age_ts\":1000000}}" },
  };
  g_autoptr (CmSigningKey) key = vector_key ();

  g_assert_cmpstr (cm_signing_key_id (key), ==, "ed25519:1");
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmJsonDoc) doc = parse (rows[i][0]);
    g_autoptr (CmJsonDoc) twin = cm_sign_json (cm_json_doc_root (doc), "domain", key, &error);
    g_assert_no_error (error);
    assert_written (twin, rows[i][1]);
    g_assert_true (cm_verify_json (cm_json_doc_root (twin), "domain", "ed25519:1",
                                   cm_signing_key_public (key), &error));
    g_assert_no_error (error);
  }
}

/* RFC 8032, 7.1, test 2. */
static void
test_rfc8032 (void)
{
  static const guint8 seed[32] = { 0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3,
                                   0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab,
                                   0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb };
  g_autoptr (CmSigningKey) key = cm_signing_key_new ("ed25519:a_1", seed, NULL);
  g_autofree char *signature = cm_signing_key_sign (key, "\x72", 1);

  g_assert_cmpstr (cm_signing_key_public (key), ==, "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw");
  g_assert_cmpstr (
      signature, ==,
      "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA");
  g_assert_true (cm_ed25519_verify (cm_signing_key_public (key), signature, "\x72", 1));
}

/* Kept: other signatures, other keys of the same server, numbers and order-less members of
 * "unsigned". */
static void
test_other_signatures_are_kept (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmSigningKey) key = vector_key ();
  g_autoptr (CmJsonDoc) doc =
      parse ("{\"unsigned\":{\"b\":1.50,\"a\":1e2},\"signatures\":{\"z\":{\"ed25519:9\":\"x\"},"
             "\"domain\":{\"ed25519:0\":\"y\",\"ed25519:1\":\"old\"}},\"k\\u0000\":1}");
  g_autoptr (CmJsonDoc) twin = cm_sign_json (cm_json_doc_root (doc), "domain", key, &error);
  g_assert_no_error (error);

  const CmJson *root = cm_json_doc_root (twin);
  const CmJson *signatures = cm_json_get (root, "signatures");
  g_assert_cmpuint (cm_json_length (root), ==, 3);
  g_assert_cmpstr (cm_json_get_text (cm_json_get (signatures, "z"), "ed25519:9"), ==, "x");
  g_assert_cmpstr (cm_json_get_text (cm_json_get (signatures, "domain"), "ed25519:0"), ==, "y");
  g_assert_cmpuint (cm_json_length (cm_json_get (signatures, "domain")), ==, 2);
  g_assert_true (cm_verify_json (root, "domain", "ed25519:1", cm_signing_key_public (key), &error));

  g_autoptr (CmJsonDoc) kept = parse ("{\"a\":1e2,\"b\":1.50}");
  g_assert_true (cm_json_equal (cm_json_get (root, "unsigned"), cm_json_doc_root (kept)));
}

static void
test_unsignable (void)
{
  static const char *const texts[] = { "[]",
                                       "5",
                                       "{\"a\":1.5}",
                                       "{\"signatures\":null}",
                                       "{\"signatures\":[]}",
                                       "{\"signatures\":{\"domain\":\"x\"}}" };
  g_autoptr (CmSigningKey) key = vector_key ();
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmJsonDoc) doc = parse (texts[i]);
    g_assert_null (cm_sign_json (cm_json_doc_root (doc), "domain", key, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_BAD_JSON);
  }
}

static void
assert_verify_fails (const char *text, const char *entity, const char *key_id,
                     const char *public_key)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = parse (text);
  g_assert_false (cm_verify_json (cm_json_doc_root (doc), entity, key_id, public_key, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
}

static void
test_wrong_signatures (void)
{
#define SIGNATURE                                                                                  \
  "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"
  g_autoptr (CmSigningKey) key = vector_key ();
  g_autoptr (CmSigningKey) other = cm_signing_key_generate ();
  const char *public_key = cm_signing_key_public (key);
  static const char good[] = "{\"signatures\":{\"domain\":{\"ed25519:1\":\"" SIGNATURE "\"}}}";

  assert_verify_fails (good, "other", "ed25519:1", public_key);
  assert_verify_fails (good, "domain", "ed25519:2", public_key);
  assert_verify_fails (good, "domain", "ed25519:1", cm_signing_key_public (other));
  assert_verify_fails (good, "domain", "ed25519:1", "");
  assert_verify_fails (good, "domain", "ed25519:1", "AAAA");
  assert_verify_fails ("{}", "domain", "ed25519:1", public_key);
  assert_verify_fails ("[]", "domain", "ed25519:1", public_key);
  assert_verify_fails ("{\"signatures\":null}", "domain", "ed25519:1", public_key);
  assert_verify_fails ("{\"signatures\":{\"domain\":[]}}", "domain", "ed25519:1", public_key);
  assert_verify_fails ("{\"signatures\":{\"domain\":{\"ed25519:1\":1}}}", "domain", "ed25519:1",
                       public_key);
  assert_verify_fails ("{\"signatures\":{\"domain\":{\"ed25519:1\":\"" SIGNATURE "\\u0000\"}}}",
                       "domain", "ed25519:1", public_key);
  assert_verify_fails ("{\"a\":1,\"signatures\":{\"domain\":{\"ed25519:1\":\"" SIGNATURE "\"}}}",
                       "domain", "ed25519:1", public_key);
}

/* CVE-2024-45193: one signature has one form. */
static void
test_strict_verification (void)
{
  /* The order of the group, little-endian. */
  static const guint8 order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                    0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
  g_autoptr (CmSigningKey) key = vector_key ();
  const char *public_key = cm_signing_key_public (key);
  guint8 bytes[64];

  g_assert_true (cm_ed25519_verify (public_key, SIGNATURE, "{}", 2));
  g_assert_false (cm_ed25519_verify (public_key, SIGNATURE "AAAA", "{}", 2));
  g_assert_false (cm_ed25519_verify (public_key, SIGNATURE " ", "{}", 2));
  g_assert_false (cm_ed25519_verify (public_key, "", "{}", 2));
  g_assert_false (cm_ed25519_verify (public_key, SIGNATURE, "{} ", 3));

  /* 86 characters hold 516 bits: the last four mean nothing and must be zero. */
  g_autofree char *loose_end = g_strdup (SIGNATURE);
  loose_end[strlen (loose_end) - 1]++;
  g_assert_false (cm_ed25519_verify (public_key, loose_end, "{}", 2));

  g_assert_true (cm_base64_decode_exact (SIGNATURE, bytes, sizeof bytes));
  guint carry = 0;
  for (gsize i = 0; i < 32; i++) {
    carry += (guint) bytes[32 + i] + order[i];
    bytes[32 + i] = (guint8) carry;
    carry >>= 8;
  }
  g_assert_cmpuint (carry, ==, 0);
  g_autofree char *malleated = cm_base64_encode (bytes, sizeof bytes);
  g_assert_false (cm_ed25519_verify (public_key, malleated, "{}", 2));

  /* A key of order one, with which R = 1, S = 0 would sign everything. */
  guint8 neutral[64] = { 1 };
  g_autofree char *weak_key = cm_base64_encode (neutral, 32);
  g_autofree char *weak_signature = cm_base64_encode (neutral, 64);
  g_assert_false (cm_ed25519_verify (weak_key, weak_signature, "{}", 2));
}

static void
test_key_ids (void)
{
  static const char *const bad[] = {
    "",      "ed25519",   "ed25519:", "ed25519:a-b", "ed25519:a b", "ed25519:a:b",
    "rsa:1", "Ed25519:1", "ed25519:é"
  };
  static const guint8 seed[32] = { 1 };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (cm_signing_key_new (bad[i], seed, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  }
}

/* CVE-2019-5885 */
static void
test_generated_keys_differ (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < 50; i++) {
    g_autoptr (CmSigningKey) key = cm_signing_key_generate ();
    g_autoptr (CmSigningKey) second = cm_signing_key_ref (key);
    g_assert_true (g_str_has_prefix (cm_signing_key_id (second), "ed25519:a_"));
    g_assert_cmpuint (strlen (cm_signing_key_id (key)), ==, strlen ("ed25519:a_XXXX"));
    g_assert_true (g_hash_table_add (seen, g_strdup (cm_signing_key_public (key))));
  }
}

typedef struct {
  char *folder;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  fixture->folder = g_dir_make_tmp ("comity-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "signing.key", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  g_unlink (fixture->path);
  /* Fails, as it should, when something was left behind. */
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0);
  g_free (fixture->path);
  g_free (fixture->folder);
}

static void
test_key_file_is_made_once (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmSigningKey) first = cm_signing_key_load_or_create (fixture->path, &error);
  g_assert_no_error (error);
  g_autoptr (CmSigningKey) second = cm_signing_key_load_or_create (fixture->path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (cm_signing_key_id (first), ==, cm_signing_key_id (second));
  g_assert_cmpstr (cm_signing_key_public (first), ==, cm_signing_key_public (second));

  struct stat status;
  g_assert_cmpint (stat (fixture->path, &status), ==, 0);
  g_assert_cmpuint (status.st_mode & 07777, ==, 0600);

  g_autofree char *text = NULL;
  g_assert_true (g_file_get_contents (fixture->path, &text, NULL, NULL));
  g_assert_true (
      g_regex_match_simple ("^ed25519 a_[A-Za-z0-9]{4} [A-Za-z0-9+/]{43}\n$", text, 0, 0));
}

static void
test_key_file_of_vector (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmSigningKey) expected = vector_key ();
  g_assert_true (g_file_set_contents_full (fixture->path, "ed25519 1 " SEED "\n", -1,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0640, &error));
  g_autoptr (CmSigningKey) key = cm_signing_key_load_or_create (fixture->path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (cm_signing_key_id (key), ==, "ed25519:1");
  g_assert_cmpstr (cm_signing_key_public (key), ==, cm_signing_key_public (expected));
}

static void
test_bad_key_files (Fixture *fixture, gconstpointer unused)
{
  static const char *const bad[] = {
    "",
    "\n",
    "ed25519",
    "ed25519 1",
    "ed25519 1 ",
    "ed25519  " SEED,
    "ed25519 1 " SEED "A",
    "ed25519 1 AAAA",
    "ed25519 1 " SEED " x",
    "ed25519 1 " SEED "\ned25519 2 " SEED,
    "rsa 1 " SEED,
    "ed25519 a-b " SEED,
    "ed25519:1 " SEED,
    " ed25519 1 " SEED,
    "signing_key: x",
    "ed25519 1 !!!!BA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_true (g_file_set_contents_full (fixture->path, bad[i], -1,
                                             G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
    g_assert_null (cm_signing_key_load_or_create (fixture->path, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);

    /* What cannot be read is never replaced. */
    g_autofree char *text = NULL;
    g_assert_true (g_file_get_contents (fixture->path, &text, NULL, NULL));
    g_assert_cmpstr (text, ==, bad[i]);
  }
}

static void
test_unsafe_key_files (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) open_to_all = NULL, too_long = NULL, not_a_text = NULL, a_folder = NULL,
                     no_folder = NULL;
  g_autofree char *huge = g_strnfill (70000, 'x');
  g_autofree char *lost = g_build_filename (fixture->folder, "none", "key", NULL);

  g_assert_true (g_file_set_contents_full (fixture->path, "ed25519 1 " SEED "\n", -1,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
  g_assert_cmpint (g_chmod (fixture->path, 0644), ==, 0);
  g_assert_null (cm_signing_key_load_or_create (fixture->path, &open_to_all));
  g_assert_error (open_to_all, CM_ERROR, CM_ERROR_CONFIG);

  g_assert_true (g_file_set_contents_full (fixture->path, huge, -1, G_FILE_SET_CONTENTS_CONSISTENT,
                                           0600, NULL));
  g_chmod (fixture->path, 0600);
  g_assert_null (cm_signing_key_load_or_create (fixture->path, &too_long));
  g_assert_error (too_long, CM_ERROR, CM_ERROR_CONFIG);

  static const char with_nul[] = "ed25519 1 " SEED "\n\0more";
  g_assert_true (g_file_set_contents_full (fixture->path, with_nul, sizeof with_nul,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
  g_assert_null (cm_signing_key_load_or_create (fixture->path, &not_a_text));
  g_assert_error (not_a_text, CM_ERROR, CM_ERROR_CONFIG);

  g_assert_null (cm_signing_key_load_or_create (fixture->folder, &a_folder));
  g_assert_error (a_folder, CM_ERROR, CM_ERROR_CONFIG);
  g_assert_null (cm_signing_key_load_or_create (lost, &no_folder));
  g_assert_error (no_folder, CM_ERROR, CM_ERROR_CONFIG);
}

static gpointer
load_in_thread (gpointer path)
{
  return cm_signing_key_load_or_create (path, NULL);
}

/* Several nodes that start at once on one folder must end up with one key. */
static void
test_key_file_race (Fixture *fixture, gconstpointer unused)
{
  GThread *threads[8];
  g_autofree char *public_key = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new (NULL, load_in_thread, fixture->path);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++) {
    g_autoptr (CmSigningKey) key = g_thread_join (threads[i]);
    g_assert_nonnull (key);
    if (public_key == NULL)
      public_key = g_strdup (cm_signing_key_public (key));
    g_assert_cmpstr (cm_signing_key_public (key), ==, public_key);
  }
}

#define ADD_WITH_FILE(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ed25519/canonical-json/vectors", test_vectors);
  g_test_add_func ("/ed25519/rfc8032", test_rfc8032);
  g_test_add_func ("/ed25519/other-signatures-are-kept", test_other_signatures_are_kept);
  g_test_add_func ("/ed25519/unsignable", test_unsignable);
  g_test_add_func ("/ed25519/wrong-signatures", test_wrong_signatures);
  g_test_add_func ("/ed25519/CVE-2024-45193", test_strict_verification);
  g_test_add_func ("/ed25519/key-ids", test_key_ids);
  g_test_add_func ("/ed25519/CVE-2019-5885", test_generated_keys_differ);
  ADD_WITH_FILE ("/ed25519/key-file/made-once", test_key_file_is_made_once);
  ADD_WITH_FILE ("/ed25519/key-file/vector", test_key_file_of_vector);
  ADD_WITH_FILE ("/ed25519/key-file/bad", test_bad_key_files);
  ADD_WITH_FILE ("/ed25519/key-file/unsafe", test_unsafe_key_files);
  ADD_WITH_FILE ("/ed25519/key-file/race", test_key_file_race);
  return g_test_run ();
}
