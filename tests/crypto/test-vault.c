#include "crypto/vault.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define ONES "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
#define TWOS "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"

typedef struct {
  char *folder;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = g_dir_make_tmp ("comity-vault-XXXXXX", NULL);
  g_assert_nonnull (fixture->folder);
  fixture->path = g_build_filename (fixture->folder, "node.key", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->path);
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0);
  g_free (fixture->path);
  g_free (fixture->folder);
}

static void
write_file (Fixture *fixture, const char *text)
{
  g_assert_true (g_file_set_contents_full (fixture->path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT,
                                           0600, NULL));
  g_assert_cmpint (g_chmod (fixture->path, 0600), ==, 0);
}

static CmVault *
vault_of (Fixture *fixture, const char *text)
{
  g_autoptr (GError) error = NULL;
  CmVault *vault;

  write_file (fixture, text);
  vault = cm_vault_load_or_create (fixture->path, &error);
  g_assert_no_error (error);
  return vault;
}

static GBytes *
seal (CmVault *vault, const char *context, const char *text)
{
  g_autoptr (GError) error = NULL;
  GBytes *sealed = cm_vault_seal (vault, context, text, strlen (text), &error);

  g_assert_no_error (error);
  return sealed;
}

static void
assert_opens (CmVault *vault, const char *context, GBytes *sealed, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) opened = cm_vault_open (vault, context, sealed, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (opened, NULL), g_bytes_get_size (opened), text, strlen (text));
}

static void
assert_refuses (CmVault *vault, const char *context, GBytes *sealed)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (cm_vault_open (vault, context, sealed, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
}

static void
test_creates_file (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmVault) first = cm_vault_load_or_create (fixture->path, &error);
  g_autoptr (CmVault) second = NULL;
  g_autoptr (GBytes) sealed = NULL;
  g_autofree char *text = NULL;
  struct stat status;

  g_assert_no_error (error);
  g_assert_cmpint (g_stat (fixture->path, &status), ==, 0);
  g_assert_cmpint (status.st_mode & 07777, ==, 0600);
  g_assert_true (g_file_get_contents (fixture->path, &text, NULL, NULL));
  g_assert_true (g_regex_match_simple ("^v1 [A-Za-z0-9+/]{43}=\n$", text, 0, 0));

  second = cm_vault_load_or_create (fixture->path, &error);
  g_assert_no_error (error);
  sealed = seal (first, "account", "secret");
  assert_opens (second, "account", sealed, "secret");
}

/* CVE-2019-5885 class: no two nodes get the same key. */
static void
test_distinct_keys (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmVault) first = cm_vault_load_or_create (fixture->path, NULL);
  g_autoptr (CmVault) second = NULL;
  g_autoptr (GBytes) sealed = seal (first, "", "secret");

  g_assert_cmpint (g_unlink (fixture->path), ==, 0);
  second = cm_vault_load_or_create (fixture->path, NULL);
  assert_opens (first, "", sealed, "secret");
  assert_refuses (second, "", sealed);
}

static void
test_layout (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmVault) vault = vault_of (fixture, "# rotated\nv1 " TWOS "\n\nv258 " ONES "=\r\n");
  g_autoptr (GBytes) one = seal (vault, "context", "secret");
  g_autoptr (GBytes) two = seal (vault, "context", "secret");
  g_autoptr (GBytes) empty = seal (vault, "context", "");
  const guint8 *bytes = g_bytes_get_data (one, NULL);

  g_assert_cmpuint (g_bytes_get_size (one), ==, 3 + 12 + strlen ("secret") + 16);
  g_assert_cmphex (bytes[0], ==, 1);
  g_assert_cmphex (bytes[1], ==, 0x01);
  g_assert_cmphex (bytes[2], ==, 0x02);
  g_assert_false (g_bytes_equal (one, two));
  g_assert_null (memmem (bytes, g_bytes_get_size (one), "secret", 6));
  assert_opens (vault, "context", empty, "");
}

/* Made with another implementation (Python's cryptography): AESGCM (32 bytes of 1).encrypt
 * (nonce 00..0b, "secret", 01 0001 "context"). */
static void
test_known_answer (Fixture *fixture, gconstpointer data)
{
  static const guint8 sealed[] = { 0x01, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
                                   0x07, 0x08, 0x09, 0x0a, 0x0b, 0xc8, 0xc3, 0xf6, 0x54, 0x45,
                                   0x8a, 0x41, 0x5e, 0xc4, 0x43, 0x64, 0x5e, 0x54, 0x42, 0xd5,
                                   0xe5, 0xe7, 0x60, 0x71, 0xbe, 0xb6, 0x96 };
  g_autoptr (CmVault) vault = vault_of (fixture, "v1 " ONES "\n");
  g_autoptr (GBytes) bytes = g_bytes_new_static (sealed, sizeof sealed);

  assert_opens (vault, "context", bytes, "secret");
}

static void
test_every_flipped_bit (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmVault) vault = vault_of (fixture, "v1 " ONES "\n");
  g_autoptr (GBytes) sealed = seal (vault, "context", "secret");
  gsize size = g_bytes_get_size (sealed);

  for (gsize bit = 0; bit < size * 8; bit++) {
    g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (sealed, NULL), size);
    g_autoptr (GBytes) forged = NULL;

    copy[bit / 8] ^= 1 << bit % 8;
    forged = g_bytes_new_static (copy, size);
    assert_refuses (vault, "context", forged);
  }
  assert_opens (vault, "context", sealed, "secret");
}

static void
test_every_length (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmVault) vault = vault_of (fixture, "v1 " ONES "\n");
  g_autoptr (GBytes) sealed = seal (vault, "context", "secret");
  gsize size = g_bytes_get_size (sealed);
  g_autofree guint8 *longer = g_malloc0 (size + 1);
  g_autoptr (GBytes) grown = NULL;

  for (gsize length = 0; length < size; length++) {
    g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (sealed, NULL), length);
    g_autoptr (GBytes) cut = g_bytes_new_static (copy, length);

    assert_refuses (vault, "context", cut);
  }
  memcpy (longer, g_bytes_get_data (sealed, NULL), size);
  grown = g_bytes_new_static (longer, size + 1);
  assert_refuses (vault, "context", grown);
}

static void
test_context_is_bound (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmVault) vault = vault_of (fixture, "v1 " ONES "\n");
  g_autoptr (GBytes) sealed = seal (vault, "account/alice", "secret");

  assert_refuses (vault, "account/bob", sealed);
  assert_refuses (vault, "account/alic", sealed);
  assert_refuses (vault, "", sealed);
}

static void
test_rotation (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmVault) old = vault_of (fixture, "v1 " ONES "\n");
  g_autoptr (CmVault) both = vault_of (fixture, "v1 " ONES "\nv2 " TWOS "\n");
  g_autoptr (CmVault) new = vault_of (fixture, "v2 " TWOS "\n");
  g_autoptr (CmVault) same_number = vault_of (fixture, "v1 " TWOS "\n");
  g_autoptr (GBytes) before = seal (old, "context", "secret");
  g_autoptr (GBytes) after = seal (both, "context", "secret");

  assert_opens (both, "context", before, "secret");
  assert_opens (both, "context", after, "secret");
  assert_opens (new, "context", after, "secret");
  assert_refuses (old, "context", after);
  assert_refuses (new, "context", before);
  assert_refuses (same_number, "context", before);
}

static void
test_bad_files (Fixture *fixture, gconstpointer data)
{
  static const char *const texts[] = {
    "",
    "\n# nothing\n",
    ONES "\n",
    "v1\n",
    "v1 \n",
    "x1 " ONES "\n",
    "v0 " ONES "\n",
    "v65536 " ONES "\n",
    "v-1 " ONES "\n",
    "v1x " ONES "\n",
    "v1 " ONES "AA\n",
    "v1 AQEB\n",
    "v1  " ONES "\n",
    "v1 " ONES "\nv1 " TWOS "\n",
    "v1 " ONES "\nv2 " TWOS "!\n",
    /* A key that somebody forgot to replace. */
    "v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    write_file (fixture, texts[i]);
    g_assert_null (cm_vault_load_or_create (fixture->path, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
    g_assert_null (strstr (error->message, ONES));
  }
}

static void
test_open_to_all (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  write_file (fixture, "v1 " ONES "\n");
  g_assert_cmpint (g_chmod (fixture->path, 0644), ==, 0);
  g_assert_null (cm_vault_load_or_create (fixture->path, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

static void
test_no_folder (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->folder, "absent", "node.key", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (cm_vault_load_or_create (path, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  g_clear_error (&error);
  g_assert_null (cm_vault_load_or_create (fixture->folder, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

static void
add (const char *path, void (*test) (Fixture *, gconstpointer))
{
  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/vault/creates-file", test_creates_file);
  add ("/vault/CVE-2019-5885-distinct-keys", test_distinct_keys);
  add ("/vault/layout", test_layout);
  add ("/vault/known-answer", test_known_answer);
  add ("/vault/every-flipped-bit", test_every_flipped_bit);
  add ("/vault/every-length", test_every_length);
  add ("/vault/context-is-bound", test_context_is_bound);
  add ("/vault/rotation", test_rotation);
  add ("/vault/CVE-2019-5885-bad-files", test_bad_files);
  add ("/vault/open-to-all", test_open_to_all);
  add ("/vault/no-folder", test_no_folder);
  return g_test_run ();
}
