#include "crypto/megolm/inbound.h"
#include "crypto/megolm/outbound.h"

#include "tests/crypto/temporary-vault.h"

#include <string.h>

#define SECOND G_GINT64_CONSTANT (1000000)
#define HOUR   (3600 * SECOND)
#define WEEK   (7 * 24 * HOUR)

static CmMegolmOutbound *
new_outbound (gint64 now)
{
  g_autoptr (GError) error = NULL;
  CmMegolmOutbound *session = cm_megolm_outbound_new (now, &error);

  g_assert_no_error (error);
  return session;
}

static CmMegolmInbound *
listen_to (CmMegolmOutbound *out)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmSecret) key = cm_megolm_outbound_session_key (out, &error);
  CmMegolmInbound *in =
      cm_megolm_inbound_new (cm_megolm_outbound_id (out), cm_secret_text (key), &error);

  g_assert_no_error (error);
  g_assert_cmpstr (cm_megolm_inbound_id (in), ==, cm_megolm_outbound_id (out));
  return in;
}

static char *
encrypt (CmMegolmOutbound *session, const char *text)
{
  g_autoptr (GError) error = NULL;
  char *body = cm_megolm_outbound_encrypt (session, text, strlen (text), &error);

  g_assert_no_error (error);
  return body;
}

static void
assert_decrypts (CmMegolmInbound *session, const char *body, const char *text, guint32 expected)
{
  g_autoptr (GError) error = NULL;
  guint32 index = G_MAXUINT32;
  g_autoptr (GBytes) plaintext = cm_megolm_inbound_decrypt (session, body, &index, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (plaintext, NULL), g_bytes_get_size (plaintext), text,
                   strlen (text));
  g_assert_cmpuint (index, ==, expected);
}

static void
assert_refuses (CmMegolmInbound *session, const char *body, CmError expected)
{
  g_autoptr (GError) error = NULL;
  guint32 index;

  g_assert_null (cm_megolm_inbound_decrypt (session, body, &index, &error));
  g_assert_error (error, CM_ERROR, (int) expected);
}

static void
test_out_and_in (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autofree char *first = encrypt (out, "one");
  g_autofree char *second = encrypt (out, "");
  g_autofree char *third = encrypt (out, "three");

  g_assert_cmpuint (cm_megolm_outbound_message_index (out), ==, 3);
  assert_decrypts (in, third, "three", 2);
  assert_decrypts (in, first, "one", 0);
  assert_decrypts (in, second, "", 1);
  /* A replay is for the caller to see, by its index. */
  assert_decrypts (in, first, "one", 0);
  g_assert_cmpuint (cm_megolm_inbound_first_index (in), ==, 0);
}

static void
test_late_joiner (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autofree char *first = encrypt (out, "one");
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autofree char *second = encrypt (out, "two");

  g_assert_cmpuint (cm_megolm_inbound_first_index (in), ==, 1);
  assert_decrypts (in, second, "two", 1);
  assert_refuses (in, first, CM_ERROR_NOT_FOUND);
}

static void
test_other_session (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autoptr (CmMegolmOutbound) other = new_outbound (0);
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autofree char *body = encrypt (other, "one");

  g_assert_cmpstr (cm_megolm_outbound_id (out), !=, cm_megolm_outbound_id (other));
  assert_refuses (in, body, CM_ERROR_FORBIDDEN);
}

static void
test_export (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autofree char *first = encrypt (out, "one");
  g_autofree char *second = encrypt (out, "two");
  g_autoptr (GError) error = NULL;
  g_autoptr (CmSecret) key = cm_megolm_inbound_export (in, 1, &error);
  g_autoptr (CmMegolmInbound) copy =
      cm_megolm_inbound_import (cm_megolm_inbound_id (in), cm_secret_text (key), &error);

  g_assert_no_error (error);
  g_assert_cmpuint (cm_megolm_inbound_first_index (copy), ==, 1);
  assert_decrypts (copy, second, "two", 1);
  assert_refuses (copy, first, CM_ERROR_NOT_FOUND);
  g_assert_null (cm_megolm_inbound_export (copy, 0, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_NOT_FOUND);
}

static void
assert_bad_key (const char *id, const char *key)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (cm_megolm_inbound_new (id, key, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_null (cm_megolm_inbound_import (id, key, &error));
  g_assert_nonnull (error);
}

static void
test_bad_session_keys (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  const char *id = cm_megolm_outbound_id (out);
  g_autoptr (CmMegolmOutbound) other = new_outbound (0);
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autoptr (CmSecret) key = cm_megolm_outbound_session_key (out, NULL);
  g_autoptr (CmSecret) exported = cm_megolm_inbound_export (in, 0, NULL);
  g_autofree char *forged = g_strdup (cm_secret_text (key));
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < key->size; i++) {
    g_autofree char *prefix = g_strndup (cm_secret_text (key), i);
    g_autofree char *noise = g_strnfill (i, 'A');

    assert_bad_key (id, noise);
    if (strcmp (prefix, cm_secret_text (exported)) != 0)
      assert_bad_key (id, prefix);
  }

  /* The index, which the signature covers. */
  forged[4] = forged[4] == 'A' ? 'B' : 'A';
  g_assert_null (cm_megolm_inbound_new (id, forged, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);

  /* Another session's id, and one kind of key for the other. */
  g_assert_null (
      cm_megolm_inbound_new (cm_megolm_outbound_id (other), cm_secret_text (key), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  g_clear_error (&error);
  g_assert_null (
      cm_megolm_inbound_import (cm_megolm_outbound_id (other), cm_secret_text (exported), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  g_clear_error (&error);
  g_assert_null (cm_megolm_inbound_new (id, cm_secret_text (exported), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  g_clear_error (&error);
  g_assert_null (cm_megolm_inbound_import (id, cm_secret_text (key), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
}

static void
test_malformed (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autofree char *body = encrypt (out, "one");
  g_autofree char *huge = g_strnfill (2 * 1024 * 1024, 'A');
  guint32 index;

  for (gsize i = 0; i < strlen (body); i++) {
    g_autofree char *prefix = g_strndup (body, i);
    g_autofree char *noise = g_strnfill (i, 'A' + i % 26);
    g_autofree char *changed = g_strdup (body);
    const char *const bodies[] = { prefix, noise, changed };

    changed[i] = changed[i] == 'A' ? 'Q' : 'A';
    for (gsize j = 0; j < G_N_ELEMENTS (bodies); j++) {
      g_autoptr (GError) error = NULL;

      g_assert_null (cm_megolm_inbound_decrypt (in, bodies[j], &index, &error));
      g_assert_nonnull (error);
      g_assert_cmpint (error->code, !=, CM_ERROR_UNKNOWN);
    }
  }
  assert_refuses (in, huge, CM_ERROR_INVALID_PARAM);
  assert_refuses (in, "====", CM_ERROR_INVALID_PARAM);
  assert_decrypts (in, body, "one", 0);
}

static void
test_too_long (void)
{
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autofree char *huge = g_strnfill (2 * 1024 * 1024, 'A');
  g_autoptr (GError) error = NULL;

  g_assert_null (cm_megolm_outbound_encrypt (out, huge, strlen (huge), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
  g_assert_cmpuint (cm_megolm_outbound_message_index (out), ==, 0);
}

static void
test_rotation (void)
{
  static const struct {
    gint64 max_age;
    gint64 max_messages;
    gint64 now;
    gboolean fresh; /* before the first message */
    gboolean used;  /* after three */
  } cases[] = {
    { WEEK, 100, HOUR, FALSE, FALSE },
    { WEEK, 4, HOUR, FALSE, FALSE },
    { WEEK, 3, HOUR, FALSE, TRUE },
    { WEEK, 1, HOUR, FALSE, TRUE },
    { WEEK, 0, HOUR, FALSE, TRUE },
    { WEEK, -5, HOUR, FALSE, TRUE },
    { WEEK, 100, HOUR + WEEK - 1, FALSE, FALSE },
    { WEEK, 100, HOUR + WEEK, TRUE, TRUE },
    { 0, 100, HOUR, FALSE, TRUE },
    { -1, 100, HOUR, FALSE, TRUE },
    /* The clock went back. */
    { WEEK, 100, HOUR - 1, TRUE, TRUE },
  };
  g_autoptr (CmMegolmOutbound) fresh = new_outbound (HOUR);
  g_autoptr (CmMegolmOutbound) used = new_outbound (HOUR);

  for (int i = 0; i < 3; i++)
    g_free (encrypt (used, "x"));
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("case %" G_GSIZE_FORMAT, i);
    g_assert_cmpint (cm_megolm_outbound_needs_rotation (fresh, cases[i].max_age,
                                                        cases[i].max_messages, cases[i].now),
                     ==, cases[i].fresh);
    g_assert_cmpint (cm_megolm_outbound_needs_rotation (used, cases[i].max_age,
                                                        cases[i].max_messages, cases[i].now),
                     ==, cases[i].used);
  }
}

static void
test_rotation_has_an_upper_bound (void)
{
  g_autoptr (CmMegolmOutbound) session = new_outbound (0);

  for (int i = 0; i < CM_MEGOLM_MAX_MESSAGES; i++) {
    g_assert_false (cm_megolm_outbound_needs_rotation (session, WEEK, G_MAXINT64, 0));
    g_free (encrypt (session, "x"));
  }
  g_assert_true (cm_megolm_outbound_needs_rotation (session, WEEK, G_MAXINT64, 0));
}

static void
test_seal (void)
{
  g_autoptr (CmVault) vault = temporary_vault ();
  g_autoptr (CmMegolmOutbound) out = new_outbound (WEEK + 42);
  g_autoptr (CmMegolmInbound) in = listen_to (out);
  g_autofree char *first = encrypt (out, "one");
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) sealed_out = cm_megolm_outbound_seal (out, vault, "out", &error);
  g_autoptr (GBytes) sealed_in = cm_megolm_inbound_seal (in, vault, "in", &error);
  g_autoptr (CmMegolmOutbound) out_again =
      cm_megolm_outbound_open (vault, "out", sealed_out, &error);
  g_autoptr (CmMegolmInbound) in_again = cm_megolm_inbound_open (vault, "in", sealed_in, &error);
  g_autofree char *second = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (cm_megolm_outbound_id (out_again), ==, cm_megolm_outbound_id (out));
  g_assert_cmpint (cm_megolm_outbound_created_at (out_again), ==, WEEK + 42);
  g_assert_cmpuint (cm_megolm_outbound_message_index (out_again), ==, 1);
  second = encrypt (out_again, "two");
  assert_decrypts (in_again, second, "two", 1);
  assert_decrypts (in_again, first, "one", 0);
}

static void
test_seal_tampered (void)
{
  g_autoptr (CmVault) vault = temporary_vault ();
  g_autoptr (CmVault) other = temporary_vault ();
  g_autoptr (CmMegolmOutbound) out = new_outbound (0);
  g_autoptr (GBytes) sealed = cm_megolm_outbound_seal (out, vault, "out", NULL);
  gsize size = g_bytes_get_size (sealed);
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (sealed, NULL), size);
  g_autoptr (GBytes) forged = g_bytes_new_static (copy, size);
  g_autoptr (GBytes) noise = cm_vault_seal (vault, "megolm-outbound/out", "noise", 5, NULL);
  g_autoptr (GError) error = NULL;

  copy[size / 2] ^= 1;
  g_assert_null (cm_megolm_outbound_open (vault, "out", forged, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_megolm_outbound_open (other, "out", sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_megolm_outbound_open (vault, "in", sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_megolm_inbound_open (vault, "out", sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_clear_error (&error);
  g_assert_null (cm_megolm_outbound_open (vault, "out", noise, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/megolm/out-and-in", test_out_and_in);
  g_test_add_func ("/megolm/late-joiner", test_late_joiner);
  g_test_add_func ("/megolm/other-session", test_other_session);
  g_test_add_func ("/megolm/export", test_export);
  g_test_add_func ("/megolm/bad-session-keys", test_bad_session_keys);
  g_test_add_func ("/megolm/CVE-2021-44538-malformed", test_malformed);
  g_test_add_func ("/megolm/too-long", test_too_long);
  g_test_add_func ("/megolm/rotation", test_rotation);
  g_test_add_func ("/megolm/rotation-has-an-upper-bound", test_rotation_has_an_upper_bound);
  g_test_add_func ("/megolm/seal", test_seal);
  g_test_add_func ("/megolm/seal-tampered", test_seal_tampered);
  return g_test_run ();
}
