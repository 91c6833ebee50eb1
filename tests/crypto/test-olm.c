#include "crypto/olm/session.h"

#include "crypto/ed25519.h"
#include "tests/crypto/temporary-vault.h"

#include <string.h>

/* 32 bytes of zero: a point of small order. */
#define ZERO_KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static CmOlmAccount *
new_account (void)
{
  g_autoptr (GError) error = NULL;
  CmOlmAccount *account = cm_olm_account_new (&error);

  g_assert_no_error (error);
  return account;
}

/* (transfer full) a one-time key of @account that is published now. */
static char *
publish_key (CmOlmAccount *account)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) keys = NULL;
  CmOlmPublicKey *key;

  g_assert_true (cm_olm_account_generate_one_time_keys (account, 1, &error));
  keys = cm_olm_account_unpublished_keys (account, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (keys->len, ==, 1);
  cm_olm_account_mark_published (account);
  key = g_ptr_array_index (keys, 0);
  return g_strdup (key->key);
}

static CmOlmSession *
start (CmOlmAccount *from, CmOlmAccount *to)
{
  g_autofree char *key = publish_key (to);
  g_autoptr (GError) error = NULL;
  CmOlmSession *session =
      cm_olm_session_new_outbound (from, cm_olm_account_curve25519 (to), key, &error);

  g_assert_no_error (error);
  return session;
}

static char *
encrypt (CmOlmSession *session, const char *text, CmOlmMessageType expected)
{
  g_autoptr (GError) error = NULL;
  CmOlmMessageType type;
  char *body = cm_olm_session_encrypt (session, text, strlen (text), &type, &error);

  g_assert_no_error (error);
  g_assert_cmpint (type, ==, expected);
  return body;
}

static void
assert_text (GBytes *bytes, const char *text)
{
  g_assert_nonnull (bytes);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), text, strlen (text));
}

static void
assert_decrypts (CmOlmSession *session, CmOlmMessageType type, const char *body, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) plaintext = cm_olm_session_decrypt (session, type, body, &error);

  g_assert_no_error (error);
  assert_text (plaintext, text);
}

static CmOlmSession *
receive (CmOlmAccount *account, CmOlmAccount *from, const char *body, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) plaintext = NULL;
  CmOlmSession *session = cm_olm_session_new_inbound (account, cm_olm_account_curve25519 (from),
                                                      body, &plaintext, &error);

  g_assert_no_error (error);
  assert_text (plaintext, text);
  return session;
}

static void
test_both_ways (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *first = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autofree char *second = encrypt (out, "two", CM_OLM_PRE_KEY);
  g_autoptr (CmOlmSession) in = receive (bob, alice, first, "one");
  g_autofree char *answer = NULL;
  g_autofree char *third = NULL;

  g_assert_cmpstr (cm_olm_session_id (in), ==, cm_olm_session_id (out));
  g_assert_true (cm_olm_session_matches (in, cm_olm_account_curve25519 (alice), second));
  assert_decrypts (in, CM_OLM_PRE_KEY, second, "two");

  answer = encrypt (in, "three", CM_OLM_MESSAGE);
  assert_decrypts (out, CM_OLM_MESSAGE, answer, "three");
  third = encrypt (out, "", CM_OLM_MESSAGE);
  assert_decrypts (in, CM_OLM_MESSAGE, third, "");
}

static void
test_out_of_order_and_once (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *first = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autoptr (CmOlmSession) in = receive (bob, alice, first, "one");
  g_autofree char *answer = encrypt (in, "hello", CM_OLM_MESSAGE);
  char *bodies[5];

  assert_decrypts (out, CM_OLM_MESSAGE, answer, "hello");
  for (int i = 0; i < 5; i++) {
    const char text[] = { 'a' + i, '\0' };

    bodies[i] = encrypt (out, text, CM_OLM_MESSAGE);
  }
  for (int i = 4; i >= 0; i--) {
    const char text[] = { 'a' + i, '\0' };
    g_autoptr (GError) error = NULL;

    assert_decrypts (in, CM_OLM_MESSAGE, bodies[i], text);
    g_assert_null (cm_olm_session_decrypt (in, CM_OLM_MESSAGE, bodies[i], &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
    g_free (bodies[i]);
  }
}

/* A one-time key opens one session. A second pre-key message for it, or a forgery, opens none, and
 * the forgery does not use up the key. */
static void
test_one_time_key_reuse (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autofree char *key = publish_key (bob);
  const char *bob_key = cm_olm_account_curve25519 (bob);
  g_autoptr (CmOlmSession) out = cm_olm_session_new_outbound (alice, bob_key, key, NULL);
  g_autoptr (CmOlmSession) twin = cm_olm_session_new_outbound (alice, bob_key, key, NULL);
  g_autofree char *body = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autofree char *late = encrypt (twin, "two", CM_OLM_PRE_KEY);
  g_autofree char *forged = g_strdup (body);
  g_autoptr (CmOlmSession) in = NULL;
  g_autoptr (GBytes) plaintext = NULL;
  g_autoptr (GError) error = NULL;
  gsize middle = strlen (body) - 20;

  forged[middle] = forged[middle] == 'A' ? 'B' : 'A';
  g_assert_null (cm_olm_session_new_inbound (bob, cm_olm_account_curve25519 (alice), forged,
                                             &plaintext, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_assert_null (plaintext);
  g_clear_error (&error);

  in = receive (bob, alice, body, "one");
  g_assert_false (cm_olm_session_matches (in, cm_olm_account_curve25519 (alice), late));
  g_assert_null (cm_olm_session_new_inbound (bob, cm_olm_account_curve25519 (alice), late,
                                             &plaintext, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_assert_null (plaintext);
}

static void
test_wrong_sender (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmAccount) mallory = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *body = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autoptr (CmOlmSession) in = NULL;
  g_autoptr (GBytes) plaintext = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (cm_olm_session_new_inbound (bob, cm_olm_account_curve25519 (mallory), body,
                                             &plaintext, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  in = receive (bob, alice, body, "one");
  g_assert_false (cm_olm_session_matches (in, cm_olm_account_curve25519 (mallory), body));
}

static guint
count_keys (CmOlmAccount *account, gboolean fallback)
{
  g_autoptr (GPtrArray) keys = cm_olm_account_unpublished_keys (account, NULL);
  guint count = 0;

  for (guint i = 0; i < keys->len; i++) {
    CmOlmPublicKey *key = g_ptr_array_index (keys, i);

    g_assert_cmpuint (strlen (key->key), ==, 43);
    g_assert_cmpuint (strlen (key->id), >, 0);
    count += key->fallback == fallback;
  }
  return count;
}

static void
test_publishing (void)
{
  g_autoptr (CmOlmAccount) account = new_account ();

  g_assert_cmpuint (count_keys (account, FALSE), ==, 0);
  g_assert_cmpuint (count_keys (account, TRUE), ==, 0);
  g_assert_true (cm_olm_account_generate_one_time_keys (account, 5, NULL));
  g_assert_true (cm_olm_account_generate_fallback_key (account, NULL));
  g_assert_cmpuint (count_keys (account, FALSE), ==, 5);
  g_assert_cmpuint (count_keys (account, TRUE), ==, 1);
  cm_olm_account_mark_published (account);
  g_assert_cmpuint (count_keys (account, FALSE), ==, 0);
  g_assert_cmpuint (count_keys (account, TRUE), ==, 0);

  g_assert_true (cm_olm_account_generate_one_time_keys (account, G_MAXSIZE, NULL));
  g_assert_cmpuint (count_keys (account, FALSE), <=, cm_olm_account_max_one_time_keys (account));
}

/* (transfer full) the body of a message that starts a session with a fallback key. */
static char *
message_to_fallback (CmOlmAccount *from, CmOlmAccount *to, const char *key)
{
  g_autoptr (CmOlmSession) session =
      cm_olm_session_new_outbound (from, cm_olm_account_curve25519 (to), key, NULL);

  return encrypt (session, "fallback", CM_OLM_PRE_KEY);
}

static void
test_fallback_key (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (GPtrArray) keys = NULL;
  const char *key;

  g_assert_true (cm_olm_account_generate_fallback_key (bob, NULL));
  keys = cm_olm_account_unpublished_keys (bob, NULL);
  g_assert_cmpuint (keys->len, ==, 1);
  key = ((CmOlmPublicKey *) g_ptr_array_index (keys, 0))->key;
  cm_olm_account_mark_published (bob);

  /* It opens sessions again and again, and for a while after it was replaced. */
  for (int i = 0; i < 3; i++) {
    g_autofree char *body = message_to_fallback (alice, bob, key);
    g_autoptr (CmOlmSession) session = receive (bob, alice, body, "fallback");

    if (i == 1)
      g_assert_true (cm_olm_account_generate_fallback_key (bob, NULL));
  }

  cm_olm_account_forget_old_fallback_key (bob);
  {
    g_autofree char *body = message_to_fallback (alice, bob, key);
    g_autoptr (GBytes) plaintext = NULL;
    g_autoptr (GError) error = NULL;

    g_assert_null (cm_olm_session_new_inbound (bob, cm_olm_account_curve25519 (alice), body,
                                               &plaintext, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  }
}

static void
test_signing (void)
{
  static const char text[] = "{\"user_id\":\"@a:b\",\"signatures\":{\"@c:d\":{\"ed25519:X\":\"s\"},"
                             "\"@a:b\":{\"ed25519:OLD\":\"t\",\"ed25519:DEV\":\"u\"}},"
                             "\"unsigned\":{\"n\":1}}";
  g_autoptr (CmOlmAccount) account = new_account ();
  g_autoptr (CmJsonDoc) doc = cm_json_parse_object (text, strlen (text), NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) twice = NULL;
  g_autofree char *signature = cm_olm_account_sign (account, "data", 4, &error);
  const CmJson *root, *signatures;

  g_assert_no_error (error);
  g_assert_true (cm_ed25519_verify (cm_olm_account_ed25519 (account), signature, "data", 4));
  g_assert_false (cm_ed25519_verify (cm_olm_account_ed25519 (account), signature, "date", 4));

  twice = cm_olm_account_sign_json (account, cm_json_doc_root (doc), "@a:b", "DEV", &error);
  g_assert_no_error (error);
  root = cm_json_doc_root (twice);
  g_assert_true (
      cm_verify_json (root, "@a:b", "ed25519:DEV", cm_olm_account_ed25519 (account), NULL));
  signatures = cm_json_get_object (root, "signatures");
  g_assert_cmpstr (cm_json_get_text (cm_json_get_object (signatures, "@c:d"), "ed25519:X"), ==,
                   "s");
  g_assert_cmpstr (cm_json_get_text (cm_json_get_object (signatures, "@a:b"), "ed25519:OLD"), ==,
                   "t");
  g_assert_cmpint (cm_json_get_integer (cm_json_get_object (root, "unsigned"), "n", 0), ==, 1);
}

static void
test_bad_keys (void)
{
  static const char *const keys[] = {
    "",
    "A",
    "AAAA",
    ZERO_KEY,
    /* Points of small order, and such in a second spelling. */
    "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA",
    "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "7P///////////////////////////////////////38",
    /* The base point with its highest bit set, too long, with unused bits set, and in a bad
       alphabet. */
    "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
    "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
    "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA!",
    "\xff\xff\xff\xff",
  };
  /* The base point, which is sound. */
  static const char sound[] = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  g_autoptr (CmOlmAccount) account = new_account ();
  g_autoptr (CmOlmSession) session = cm_olm_session_new_outbound (account, sound, sound, NULL);

  g_assert_nonnull (session);
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (cm_olm_session_new_outbound (account, keys[i], sound, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
    g_clear_error (&error);
    g_assert_null (cm_olm_session_new_outbound (account, sound, keys[i], &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  }
}

static void
assert_refuses (CmOlmAccount *account, CmOlmAccount *from, CmOlmSession *session, const char *body)
{
  for (int type = -1; type <= 2; type++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (cm_olm_session_decrypt (session, type, body, &error));
    g_assert_nonnull (error);
    g_assert_true (error->code == CM_ERROR_FORBIDDEN || error->code == CM_ERROR_INVALID_PARAM);
  }
  {
    g_autoptr (GBytes) plaintext = NULL;
    g_autoptr (GError) error = NULL;

    g_assert_null (cm_olm_session_new_inbound (account, cm_olm_account_curve25519 (from), body,
                                               &plaintext, &error));
    g_assert_true (error->code == CM_ERROR_FORBIDDEN || error->code == CM_ERROR_INVALID_PARAM);
    g_assert_false (cm_olm_session_matches (session, cm_olm_account_curve25519 (from), "!"));
  }
}

/* Every prefix of messages, and noise of every small size: an error each time, no crash
 * (run it under valgrind), and the session works afterwards. */
static void
test_malformed (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *first = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autofree char *second = encrypt (out, "two", CM_OLM_PRE_KEY);
  g_autoptr (CmOlmSession) in = receive (bob, alice, first, "one");
  g_autoptr (CmOlmSession) unheard = start (alice, bob);
  g_autofree char *third = encrypt (unheard, "three", CM_OLM_PRE_KEY);
  g_autoptr (CmOlmSession) last = NULL;
  gsize length = strlen (second);
  g_autofree char *huge = g_strnfill (2 * 1024 * 1024, 'A');

  for (gsize i = 0; i < length; i++) {
    g_autofree char *prefix = g_strndup (second, i);
    g_autofree char *other = g_strndup (third, i);
    g_autofree char *noise = g_strnfill (i, 'A' + i % 26);

    assert_refuses (bob, alice, in, prefix);
    assert_refuses (bob, alice, in, other);
    assert_refuses (bob, alice, in, noise);
  }
  assert_refuses (bob, alice, in, "AwohAA");
  assert_refuses (bob, alice, in, "====");
  assert_refuses (bob, alice, in, "A\n");
  assert_refuses (bob, alice, in, huge);
  assert_decrypts (in, CM_OLM_PRE_KEY, second, "two");
  last = receive (bob, alice, third, "three");
}

/* Among them are messages without an identity key, at which libolm 3.2.13 crashes. */
static void
test_every_changed_character (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *body = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autoptr (CmOlmSession) in = NULL;

  for (gsize i = 0; body[i] != '\0'; i++)
    for (const char *c = "AQgw/9"; *c != '\0'; c++) {
      g_autofree char *changed = g_strdup (body);
      g_autoptr (GBytes) plaintext = NULL;
      g_autoptr (GError) error = NULL;

      if (body[i] == *c)
        continue;
      changed[i] = *c;
      g_assert_null (cm_olm_session_new_inbound (bob, cm_olm_account_curve25519 (alice), changed,
                                                 &plaintext, &error));
      g_assert_nonnull (error);
      g_assert_cmpint (error->code, !=, CM_ERROR_UNKNOWN);
    }
  in = receive (bob, alice, body, "one");
}

/* CVE-2024-45193: libolm reads any character as base64, and any trailing bits. */
static void
test_strict_base64 (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *first = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autofree char *url_safe = g_strdup (first);
  g_autofree char *longer = g_strconcat (first, "A", NULL);
  g_autofree char *spaced = g_strconcat (first, " ", NULL);
  g_autofree char *not_ascii = g_strdup (first);
  const char *const bodies[] = { url_safe, longer, spaced, not_ascii };

  memcpy (not_ascii + strlen (first) / 2, "é", 2);
  url_safe[strlen (url_safe) / 2] = '-';
  for (gsize i = 0; i < G_N_ELEMENTS (bodies); i++) {
    g_autoptr (GBytes) plaintext = NULL;
    g_autoptr (GError) error = NULL;

    g_assert_null (cm_olm_session_new_inbound (bob, cm_olm_account_curve25519 (alice), bodies[i],
                                               &plaintext, &error));
    g_assert_nonnull (error);
  }
}

static void
test_too_long (void)
{
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *huge = g_strnfill (2 * 1024 * 1024, 'A');
  g_autoptr (GError) error = NULL;
  CmOlmMessageType type;

  g_assert_null (cm_olm_session_encrypt (out, huge, strlen (huge), &type, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
}

static void
test_seal (void)
{
  g_autoptr (CmVault) vault = temporary_vault ();
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (CmOlmAccount) bob = new_account ();
  g_autoptr (CmOlmSession) out = start (alice, bob);
  g_autofree char *first = encrypt (out, "one", CM_OLM_PRE_KEY);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) sealed_bob = cm_olm_account_seal (bob, vault, "bob", &error);
  g_autoptr (GBytes) sealed_out = cm_olm_session_seal (out, vault, "out", &error);
  g_autoptr (CmOlmAccount) bob_again = cm_olm_account_open (vault, "bob", sealed_bob, &error);
  g_autoptr (CmOlmSession) out_again = cm_olm_session_open (vault, "out", sealed_out, &error);
  g_autoptr (CmOlmSession) in = NULL;
  g_autofree char *second = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (cm_olm_account_curve25519 (bob_again), ==, cm_olm_account_curve25519 (bob));
  g_assert_cmpstr (cm_olm_account_ed25519 (bob_again), ==, cm_olm_account_ed25519 (bob));
  g_assert_cmpstr (cm_olm_session_id (out_again), ==, cm_olm_session_id (out));

  in = receive (bob_again, alice, first, "one");
  second = encrypt (out_again, "two", CM_OLM_PRE_KEY);
  assert_decrypts (in, CM_OLM_PRE_KEY, second, "two");
}

static void
test_seal_tampered (void)
{
  g_autoptr (CmVault) vault = temporary_vault ();
  g_autoptr (CmVault) other = temporary_vault ();
  g_autoptr (CmOlmAccount) alice = new_account ();
  g_autoptr (GBytes) sealed = cm_olm_account_seal (alice, vault, "alice", NULL);
  gsize size = g_bytes_get_size (sealed);
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (sealed, NULL), size);
  g_autoptr (GBytes) forged = g_bytes_new_static (copy, size);
  g_autoptr (GBytes) noise = NULL;
  g_autoptr (GError) error = NULL;

  copy[size / 2] ^= 1;
  g_assert_null (cm_olm_account_open (vault, "alice", forged, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_olm_account_open (other, "alice", sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_olm_account_open (vault, "bob", sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_olm_session_open (vault, "alice", sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);

  /* What is authentic, but no pickle. */
  noise = cm_vault_seal (vault, "olm-account/alice", "noise", 5, NULL);
  g_assert_null (cm_olm_account_open (vault, "alice", noise, &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/olm/both-ways", test_both_ways);
  g_test_add_func ("/olm/out-of-order-and-once", test_out_of_order_and_once);
  g_test_add_func ("/olm/one-time-key-reuse", test_one_time_key_reuse);
  g_test_add_func ("/olm/wrong-sender", test_wrong_sender);
  g_test_add_func ("/olm/publishing", test_publishing);
  g_test_add_func ("/olm/fallback-key", test_fallback_key);
  g_test_add_func ("/olm/signing", test_signing);
  g_test_add_func ("/olm/bad-keys", test_bad_keys);
  g_test_add_func ("/olm/CVE-2021-44538-malformed", test_malformed);
  g_test_add_func ("/olm/CVE-2021-44538-every-changed-character", test_every_changed_character);
  g_test_add_func ("/olm/CVE-2024-45193-strict-base64", test_strict_base64);
  g_test_add_func ("/olm/too-long", test_too_long);
  g_test_add_func ("/olm/seal", test_seal);
  g_test_add_func ("/olm/seal-tampered", test_seal_tampered);
  return g_test_run ();
}
