#include "crypto/hash.h"

#include <string.h>

static void
assert_hex (const guint8 *data, gsize length, const char *expected)
{
  g_autofree char *hex = cm_hex (data, length);
  g_assert_cmpstr (hex, ==, expected);
}

/* FIPS 180-4 examples. */
static void
test_sha256 (void)
{
  guint8 digest[CM_SHA256_SIZE];
  cm_sha256 ("abc", 3, digest);
  assert_hex (digest, sizeof digest,
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  cm_sha256 (NULL, 0, digest);
  assert_hex (digest, sizeof digest,
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, test case 2, and RFC 2202, test case 2. */
static void
test_hmac (void)
{
  static const char key[] = "Jefe", text[] = "what do ya want for nothing?";
  guint8 sha256[32], sha1[20];

  cm_hmac_sha256 (key, 4, text, strlen (text), sha256);
  assert_hex (sha256, sizeof sha256,
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  cm_hmac_sha1 (key, 4, text, strlen (text), sha1);
  assert_hex (sha1, sizeof sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  cm_hmac_sha256 (NULL, 0, "", 0, sha256);
  assert_hex (sha256, sizeof sha256,
              "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void
test_secret_equal (void)
{
  g_assert_true (cm_secret_equal ("secret", "secret"));
  g_assert_true (cm_secret_equal ("", ""));
  g_assert_false (cm_secret_equal ("secret", "Secret"));
  g_assert_false (cm_secret_equal ("secret", "secret1"));
  g_assert_false (cm_secret_equal ("secret", ""));
  g_assert_false (cm_secret_equal (NULL, ""));
  g_assert_false (cm_secret_equal (NULL, NULL));
}

/* CVE-2019-5885: no two alike, and every character in use. */
static void
test_random_token (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint counts[128] = { 0 };

  for (guint i = 0; i < 10000; i++) {
    char *token = cm_random_token (32);
    g_assert_cmpuint (strlen (token), ==, 32);
    for (const char *c = token; *c != '\0'; c++) {
      g_assert_true (g_ascii_isalnum (*c));
      counts[(guint8) *c]++;
    }
    g_assert_true (g_hash_table_add (seen, token));
  }
  for (guint c = 0; c < 128; c++)
    if (g_ascii_isalnum ((char) c)) /* 5161 expected; the deviation is 71 */
      g_assert_true (counts[c] > 4500 && counts[c] < 5900);

  g_autofree char *empty = cm_random_token (0);
  g_assert_cmpstr (empty, ==, "");
}

static void
test_token_hash (void)
{
  g_autofree char *hash = cm_token_hash ("abc");
  g_assert_cmpstr (hash, ==, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hash/sha256", test_sha256);
  g_test_add_func ("/hash/hmac", test_hmac);
  g_test_add_func ("/hash/secret-equal", test_secret_equal);
  g_test_add_func ("/hash/random-token/CVE-2019-5885", test_random_token);
  g_test_add_func ("/hash/token-hash", test_token_hash);
  return g_test_run ();
}
