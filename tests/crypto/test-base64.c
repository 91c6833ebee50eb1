#include "crypto/base64.h"

#include <string.h>

/* Appendices, "Unpadded Base64", and RFC 4648, 10. */
static void
test_vectors (void)
{
  static const char *const rows[][3] = {
    { "", "", "" },
    { "f", "Zg", "Zg==" },
    { "fo", "Zm8", "Zm8=" },
    { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg", "Zm9vYg==" },
    { "fooba", "Zm9vYmE", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    gsize length = strlen (rows[i][0]);
    g_autofree char *text = cm_base64_encode ((const guint8 *) rows[i][0], length);
    g_assert_cmpstr (text, ==, rows[i][1]);
    for (gsize form = 1; form <= 2; form++) {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = cm_base64_decode (rows[i][form], &error);
      g_assert_no_error (error);
      g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), rows[i][0],
                       length);
      g_autoptr (GBytes) url = cm_base64url_decode (rows[i][form], NULL);
      g_assert_true (g_bytes_equal (bytes, url));
    }
  }
}

static void
test_alphabets (void)
{
  static const guint8 bytes[] = { 0xfb, 0xff, 0xbe };
  g_autofree char *standard = cm_base64_encode (bytes, sizeof bytes);
  g_autofree char *url = cm_base64url_encode (bytes, sizeof bytes);

  g_assert_cmpstr (standard, ==, "+/++");
  g_assert_cmpstr (url, ==, "-_--");
  g_assert_null (cm_base64_decode (url, NULL));
  g_assert_null (cm_base64url_decode (standard, NULL));
}

/* olm-signature-leniency: a value has one spelling, padding aside. */
static void
test_strictness (void)
{
  static const char *const bad[] = {
    "Z",
    "Zm9vY",
    "Zh",
    "Zm9",
    "Zg=",
    "Zg===",
    "Zm8==",
    "Zm9v=",
    "=",
    "====",
    "Z g",
    "Zg\n",
    " Zg",
    "Zm9v\r\nYg",
    "Zg==x",
    "Zm-v",
    "Zm_v",
    "Zm9v!",
    "Zé",
    "Zm9é",
    "Zm9vZg\xC3\xBF",
    "\xED\xA0\x80\xFE",
    "Zg==Zg==",
    NULL,
  };
  for (gsize i = 0; bad[i] != NULL; i++) {
    g_autoptr (GError) error = NULL;
    if (cm_base64_decode (bad[i], &error) != NULL)
      g_error ("accepted %s", bad[i]);
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  }
}

static void
test_exact (void)
{
  guint8 out[3];
  g_assert_true (cm_base64_decode_exact ("Zm9v", out, 3));
  g_assert_cmpmem (out, 3, "foo", 3);
  g_assert_false (cm_base64_decode_exact ("Zm8", out, 3));
  g_assert_false (cm_base64_decode_exact ("Zm9vYg", out, 3));
  g_assert_false (cm_base64_decode_exact ("", out, 3));
  g_assert_false (cm_base64_decode_exact (NULL, out, 3));
}

static void
test_round_trip (void)
{
  guint8 bytes[256];
  for (gsize i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i * 37);
  for (gsize length = 0; length <= sizeof bytes; length++) {
    g_autofree char *text = cm_base64_encode (bytes, length);
    g_autofree char *url = cm_base64url_encode (bytes, length);
    g_autoptr (GBytes) back = cm_base64_decode (text, NULL);
    g_autoptr (GBytes) url_back = cm_base64url_decode (url, NULL);
    g_assert_null (strchr (text, '='));
    g_assert_cmpmem (g_bytes_get_data (back, NULL), g_bytes_get_size (back), bytes, length);
    g_assert_true (g_bytes_equal (back, url_back));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base64/vectors", test_vectors);
  g_test_add_func ("/base64/alphabets", test_alphabets);
  g_test_add_func ("/base64/olm-signature-leniency", test_strictness);
  g_test_add_func ("/base64/exact", test_exact);
  g_test_add_func ("/base64/round-trip", test_round_trip);
  return g_test_run ();
}
