#include "crypto/base64.h"
#include "federation/x-matrix.h"

#include <string.h>

#define PUBLIC_KEY "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
/* Made with another implementation of Ed25519 (Python's cryptography) over canonical JSON written
 * by hand. */
#define SIGNATURE                                                                                  \
  "CzGkynnWMQ79geD874XASXMS6F6C2MQtu6rUGMRHZwHKZjX5jgV0frwSp2QRyaJZKKBY9StuwEH1kJXroPHgCQ"
#define SIGNATURE_WITHOUT_CONTENT                                                                  \
  "u2GgeKcCXN+gMIfuYSZkk8uly44EYU52dh0CRnSmOjividyzAyx3mYhEs53bA2E9udfFmrOZkVehe2iKQh5HAA"
#define TARGET  "/_matrix/federation/v1/send/1?a=%2F"
#define CONTENT "{\"pdus\":[], \"edus\":[], \"\303\251\":\"\\u2028\\n\\\"<>\\/\"}"

static CmJsonDoc *
content (void)
{
  return cm_json_parse (CONTENT, strlen (CONTENT), NULL);
}

static void
test_sign (void)
{
  guint8 seed[32];
  g_autoptr (CmJsonDoc) doc = content ();
  g_autoptr (CmSigningKey) key = NULL;
  g_autofree char *with = NULL;
  g_autofree char *without = NULL;

  for (guint8 i = 0; i < 32; i++)
    seed[i] = i;
  key = cm_signing_key_new ("ed25519:1", seed, NULL);
  with = cm_x_matrix_sign ("PUT", TARGET, "origin.test:8448", "here.test", cm_json_doc_root (doc),
                           key, NULL);
  g_assert_cmpstr (with, ==,
                   "X-Matrix origin=\"origin.test:8448\",destination=\"here.test\","
                   "key=\"ed25519:1\",sig=\"" SIGNATURE "\"");
  without = cm_x_matrix_sign ("GET", TARGET, "origin.test:8448", "here.test", NULL, key, NULL);
  g_assert_nonnull (strstr (without, "sig=\"" SIGNATURE_WITHOUT_CONTENT "\""));
}

static gboolean
authenticates (const char *header)
{
  g_autoptr (CmJsonDoc) doc = content ();
  g_autoptr (GError) error = NULL;
  g_autoptr (CmXMatrix) parsed = cm_x_matrix_parse (header, &error);
  gboolean valid =
      parsed != NULL && cm_x_matrix_verify (parsed, "PUT", TARGET, "here.test",
                                            cm_json_doc_root (doc), PUBLIC_KEY, &error);

  if (!valid)
    g_assert_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED);
  return valid;
}

#define O   "origin=\"origin.test:8448\""
#define D   "destination=\"here.test\""
#define K   "key=\"ed25519:1\""
#define S   "sig=\"" SIGNATURE "\""
#define ALL O "," D "," K "," S

/* x-matrix-parsing: the spellings of RFC 9110, 11.4, with the leniency for colons. */
static void
test_legal_spellings (void)
{
  static const char *const headers[] = {
    "X-Matrix " ALL,
    "X-Matrix " S "," K "," O "," D,
    "X-Matrix " O "," K "," S, /* before version 1.3 of the specification */
    "x-matrix " ALL,
    "X-MATRIX    " ALL,
    "X-Matrix " O " , " D "\t,\t" K ",  " S "  ",
    "X-Matrix ," O ",,, " D "," K "," S ",",
    "X-Matrix "
    "Origin=\"origin.test:8448\",DESTINATION=\"here.test\",kEy=\"ed25519:1\",SIG=\"" SIGNATURE "\"",
    "X-Matrix origin=origin.test:8448,destination=here.test,key=ed25519:1,sig=" SIGNATURE,
    "X-Matrix origin=origin.test:8448,key=\"ed25519:1\",sig=\"" SIGNATURE
    "\",destination=\"here.test\"",
    "X-Matrix origin = \"origin.test:8448\" , destination\t=\there.test,key "
    "=ed25519:1,sig= " SIGNATURE,
    "X-Matrix origin=\"ori\\gin.test\\:8448\"," D "," K "," S,
    "X-Matrix " ALL ",colour=\"\\\"red, \\\\ blue\\\"\"",
    "X-Matrix " ALL ",x=\"=,=\"",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_test_message ("%s", headers[i]);
    g_assert_true (authenticates (headers[i]));
  }
}

static void
test_illegal_spellings (void)
{
  static const char *const headers[] = {
    "",
    "X-Matrix",
    "X-Matrix ",
    "X-Matrix" ALL,
    "X-Matrix\t" ALL,
    "Bearer " ALL,
    " X-Matrix " ALL,
    "X-Matrix " O "," D "," K,
    "X-Matrix " O "," D "," S,
    "X-Matrix " D "," K "," S,
    "X-Matrix " ALL "," O,
    "X-Matrix " ALL ",ORIGIN=\"origin.test:8448\"",
    "X-Matrix " ALL "," S,
    "X-Matrix " ALL ",x=1,x=2",
    "X-Matrix " O " " D "," K "," S,
    "X-Matrix " O ";" D ";" K ";" S,
    "X-Matrix " ALL ",x",
    "X-Matrix " ALL ",x=",
    "X-Matrix " ALL ",x=\"\"",
    "X-Matrix " ALL ",=x",
    "X-Matrix " ALL ",x=\"open",
    "X-Matrix " ALL ",x=\"open\\",
    "X-Matrix " ALL ",x=\"a\"b",
    "X-Matrix " ALL ",x=a b",
    "X-Matrix " ALL ",x=a@b",
    "X-Matrix " ALL ",x=\"a\001b\"",
    "X-Matrix " ALL ",x=\"a\\\nb\"",
    "X-Matrix " ALL ",x=\"a\177b\"",
    "X-Matrix " O ",destination=\"other.test\"," K "," S,
    "X-Matrix " O ",destination=\"HERE.test\"," K "," S,
    "X-Matrix origin='origin.test:8448'," D "," K "," S,
    "X-Matrix origin=\"origin.test:8448 \"," D "," K "," S,
    "X-Matrix origin=\"Origin.test:8448\"," D "," K "," S,
    "X-Matrix origin=\"origin\303\251.test\"," D "," K "," S,
    "X-Matrix origin=\"\"," D "," K "," S,
    "X-Matrix " O "," D ",key=\"ed25519\"," S,
    "X-Matrix " O "," D ",key=\"curve25519:1\"," S,
    "X-Matrix " O "," D "," K ",sig=\"AAAA\"",
    "X-Matrix " ALL ",a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_test_message ("%s", headers[i]);
    g_assert_false (authenticates (headers[i]));
  }
}

static void
test_too_long (void)
{
  g_autofree char *junk = g_strnfill (100000, 'a');
  g_autofree char *header = g_strconcat ("X-Matrix " ALL ",x=", junk, NULL);

  g_assert_false (authenticates (header));
  header[8192] = '\0';
  g_assert_true (authenticates (header));
}

/* CVE-2024-45193: other spellings of the same signature bytes, and S plus the group's order. */
static void
test_strict_signature_cve_2024_45193 (void)
{
  static const guint8 order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                    0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
  g_autofree char *last = g_strdup ("X-Matrix " O "," D "," K ",sig=" SIGNATURE);
  guint8 bytes[64];
  guint carry = 0;
  g_autofree char *malleable = NULL;
  g_autofree char *header = NULL;

  g_assert_true (authenticates (last));
  last[strlen (last) - 1] = 'R'; /* the unused bits */
  g_assert_false (authenticates (last));
  g_assert_false (authenticates ("X-Matrix " O "," D "," K ",sig=" SIGNATURE "AAAA"));

  g_assert_true (cm_base64_decode_exact (SIGNATURE, bytes, sizeof bytes));
  for (gsize i = 0; i < 32; i++) {
    carry += bytes[32 + i] + order[i];
    bytes[32 + i] = (guint8) carry;
    carry >>= 8;
  }
  malleable = cm_base64_encode (bytes, sizeof bytes);
  header = g_strconcat ("X-Matrix " O "," D "," K ",sig=\"", malleable, "\"", NULL);
  g_assert_false (authenticates (header));
}

/* Every part of the request is covered. */
static void
test_covers_request (void)
{
  g_autoptr (CmJsonDoc) doc = content ();
  g_autoptr (CmJsonDoc) other = cm_json_parse ("{}", 2, NULL);
  const CmJson *root = cm_json_doc_root (doc);
  g_autoptr (CmXMatrix) header = cm_x_matrix_parse ("X-Matrix " O "," K "," S, NULL);
  const struct {
    const char *method, *target, *destination;
    const CmJson *content;
    const char *key;
  } rows[] = {
    { "POST", TARGET, "here.test", root, PUBLIC_KEY },
    { "PUT", TARGET "&b", "here.test", root, PUBLIC_KEY },
    { "PUT", "/_matrix/federation/v1/send/1?a=/", "here.test", root, PUBLIC_KEY },
    { "PUT", TARGET, "there.test", root, PUBLIC_KEY },
    { "PUT", TARGET, "here.test", NULL, PUBLIC_KEY },
    { "PUT", TARGET, "here.test", cm_json_doc_root (other), PUBLIC_KEY },
    { "PUT", TARGET, "here.test", root, "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI" },
    { "PUT", "/\377", "here.test", root, PUBLIC_KEY },
  };

  g_assert_true (cm_x_matrix_verify (header, "PUT", TARGET, "here.test", root, PUBLIC_KEY, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_false (cm_x_matrix_verify (header, rows[i].method, rows[i].target, rows[i].destination,
                                        rows[i].content, rows[i].key, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/x-matrix/sign", test_sign);
  g_test_add_func ("/x-matrix/legal-spellings", test_legal_spellings);
  g_test_add_func ("/x-matrix/illegal-spellings", test_illegal_spellings);
  g_test_add_func ("/x-matrix/too-long", test_too_long);
  g_test_add_func ("/x-matrix/strict-signature-CVE-2024-45193",
                   test_strict_signature_cve_2024_45193);
  g_test_add_func ("/x-matrix/covers-request-fed-replay", test_covers_request);
  return g_test_run ();
}
