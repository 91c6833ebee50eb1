/* A vault with a key of its own, whose file is gone when the function returns. */
#pragma once

#include "crypto/vault.h"

#include <glib/gstdio.h>

static inline CmVault *
temporary_vault (void)
{
  g_autofree char *folder = g_dir_make_tmp ("comity-vault-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "node.key", NULL);
  g_autoptr (GError) error = NULL;
  CmVault *vault = cm_vault_load_or_create (path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  return vault;
}
