#include "crypto/key-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

CmKeyText *
cm_key_text_new (gsize size)
{
  CmKeyText *text = sodium_init () >= 0 ? sodium_malloc (size) : NULL;
  if (text == NULL)
    g_error ("No guarded memory for keys");
  return text;
}

static gboolean
config_error (const char *path, const char *what, GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "Key file %s: %s", path, what);
  return FALSE;
}

/* Reads all of @fd into @text, of CM_KEY_FILE_MAX_BYTES + 1 bytes; returns its length, or -1. */
static gssize
read_all (int fd, char *text)
{
  gsize length = 0;
  while (length <= CM_KEY_FILE_MAX_BYTES) {
    gssize n = read (fd, text + length, CM_KEY_FILE_MAX_BYTES + 1 - length);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -1 : (gssize) length;
    length += (gsize) n;
  }
  errno = EFBIG;
  return -1;
}

static CmKeyText *
read_text (int fd, const char *path, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) != 0 || !S_ISREG (status.st_mode)) {
    config_error (path, "is not a regular file", error);
    return NULL;
  }
  if ((status.st_mode & S_IRWXO) != 0) {
    config_error (path, "must not be open to all users (chmod o= it)", error);
    return NULL;
  }
  g_autoptr (CmKeyText) text = cm_key_text_new (CM_KEY_FILE_MAX_BYTES + 1);
  gssize length = read_all (fd, text);
  if (length < 0) {
    config_error (path, g_strerror (errno), error);
    return NULL;
  }
  text[length] = '\0';
  if (strlen (text) != (gsize) length) {
    config_error (path, "is not a text", error);
    return NULL;
  }
  return g_steal_pointer (&text);
}

/* Sets @absent instead of @error when there is no such file. */
static CmKeyText *
load (const char *path, gboolean *absent, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

  *absent = fd < 0 && errno == ENOENT;
  if (fd < 0) {
    if (!*absent)
      config_error (path, g_strerror (errno), error);
    return NULL;
  }
  CmKeyText *text = read_text (fd, path, error);
  close (fd);
  return text;
}

static gboolean
write_all (int fd, const char *text)
{
  gsize left = strlen (text);
  while (left > 0) {
    gssize n = write (fd, text, left);
    if (n < 0 && errno != EINTR)
      return FALSE;
    if (n > 0) {
      text += n;
      left -= (gsize) n;
    }
  }
  return fsync (fd) == 0;
}

/* So that the new name outlives a power cut too. A file system that cannot sync a folder is not an
 * error. */
static void
sync_folder_of (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    return;
  fsync (fd);
  close (fd);
}

/* Unlike rename (), link () never replaces a key that another process has made meanwhile, and may
 * already use. */
static gboolean
create (const char *path, const char *text, GError **error)
{
  g_autofree char *temporary = g_strdup_printf ("%s.XXXXXX", path);
  int fd = g_mkstemp_full (temporary, O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0)
    return config_error (path, g_strerror (errno), error);

  gboolean made = write_all (fd, text) && (link (temporary, path) == 0 || errno == EEXIST);
  if (!made)
    config_error (path, g_strerror (errno), error);
  close (fd);
  g_unlink (temporary);
  if (made)
    sync_folder_of (path);
  return made;
}

CmKeyText *
cm_key_file_load_or_create (const char *path, CmKeyText *(*make) (void), GError **error)
{
  gboolean absent;
  CmKeyText *text = load (path, &absent, error);
  if (!absent)
    return text;

  g_autoptr (CmKeyText) fresh = make ();
  if (!create (path, fresh, error))
    return NULL;
  text = load (path, &absent, error);
  if (absent)
    config_error (path, "disappeared", error);
  return text;
}
