#include "server/media/files.h"

#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_LOCKS    64
#define SHA256_HEX 64

/* The folders of the store. In those of files there is one for each beginning of a hash, so that
 * none gets too full. */
#define CONTENT    "content"
#define THUMBNAILS "thumbnails"
#define UNFINISHED "unfinished"

struct _CmMediaFiles {
  char *path;
  GMutex locks[N_LOCKS];
};

static void
fail (GError **error, const char *what)
{
  int code = errno;

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (code), "%s: %s", what,
               g_strerror (code));
}

/* What a folder holds is on the disk when the folder is. */
static gboolean
sync_folder (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean synced = fd >= 0 && fsync (fd) == 0;

  if (!synced)
    fail (error, "cannot write a media folder to the disk");
  if (fd >= 0)
    close (fd);
  return synced;
}

static gboolean
make_folder (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0700) == 0)
    return TRUE;
  fail (error, "cannot make a media folder");
  return FALSE;
}

static gboolean
make_folders (const char *path, const char *name, GError **error)
{
  g_autofree char *folder = g_build_filename (path, name, NULL);

  for (guint i = 0; i < 256; i++) {
    g_autofree char *below = g_strdup_printf ("%s/%02x", folder, i);
    if (!make_folder (below, error))
      return FALSE;
  }
  return sync_folder (folder, error);
}

CmMediaFiles *
cm_media_files_new (const char *path, GError **error)
{
  g_autofree char *unfinished = g_build_filename (path, UNFINISHED, NULL);

  if (!make_folder (unfinished, error) || !make_folders (path, CONTENT, error) ||
      !make_folders (path, THUMBNAILS, error) || !sync_folder (path, error))
    return NULL;
  CmMediaFiles *files = g_new0 (CmMediaFiles, 1);
  files->path = g_strdup (path);
  for (guint i = 0; i < N_LOCKS; i++)
    g_mutex_init (&files->locks[i]);
  return files;
}

void
cm_media_files_free (CmMediaFiles *files)
{
  for (guint i = 0; i < N_LOCKS; i++)
    g_mutex_clear (&files->locks[i]);
  g_free (files->path);
  g_free (files);
}

static GMutex *
lock_of (CmMediaFiles *files, const char *sha256)
{
  return &files->locks[g_str_hash (sha256) % N_LOCKS];
}

void
cm_media_files_lock (CmMediaFiles *files, const char *sha256)
{
  g_mutex_lock (lock_of (files, sha256));
}

void
cm_media_files_unlock (CmMediaFiles *files, const char *sha256)
{
  g_mutex_unlock (lock_of (files, sha256));
}

/* Begun and never finished: the node that wrote them is no more. */
gboolean
cm_media_files_settle (const CmMediaFiles *files, CmMediaSettle settle, gpointer data,
                       GError **error)
{
  g_autofree char *folder = g_build_filename (files->path, UNFINISHED, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (folder, name, NULL);
    g_autofree char *sha256 = g_strndup (name, SHA256_HEX);
    if (!settle (sha256, data, error))
      return FALSE;
    g_unlink (file);
  }
  return dir != NULL;
}

void
cm_new_file_leave (CmNewFile *file)
{
  g_clear_pointer (&file->path, g_free);
  cm_new_file_free (file);
}

void
cm_new_file_free (CmNewFile *file)
{
  if (file->path != NULL)
    g_unlink (file->path);
  if (file->fd >= 0)
    close (file->fd);
  g_free (file->path);
  g_free (file);
}

CmNewFile *
cm_media_files_begin (const CmMediaFiles *files, const char *sha256, GError **error)
{
  g_autofree char *token = cm_random_token (24);
  g_autofree char *path = g_strdup_printf ("%s/" UNFINISHED "/%s-%s", files->path, sha256, token);
  int fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

  if (fd < 0) {
    fail (error, "cannot make a media file");
    return NULL;
  }
  CmNewFile *file = g_new0 (CmNewFile, 1);
  file->path = g_steal_pointer (&path);
  file->fd = fd;
  return file;
}

gboolean
cm_new_file_write (CmNewFile *file, GBytes *data, GError **error)
{
  gsize length;
  const char *text = g_bytes_get_data (data, &length);

  while (length > 0) {
    gssize written = write (file->fd, text, length);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0) {
      fail (error, "cannot write a media file");
      return FALSE;
    }
    text += written;
    length -= (gsize) written;
  }
  if (fsync (file->fd) == 0)
    return TRUE;
  fail (error, "cannot write a media file to the disk");
  return FALSE;
}

static char *
folder_of (const CmMediaFiles *files, const char *name, const char *sha256)
{
  return g_strdup_printf ("%s/%s/%.2s", files->path, name, sha256);
}

static char *
content_path (const CmMediaFiles *files, const char *sha256)
{
  g_autofree char *folder = folder_of (files, CONTENT, sha256);

  return g_build_filename (folder, sha256, NULL);
}

static char *
thumbnail_path (const CmMediaFiles *files, const char *sha256, const char *kind)
{
  g_autofree char *folder = folder_of (files, THUMBNAILS, sha256);

  return g_strdup_printf ("%s/%s-%s", folder, sha256, kind);
}

gboolean
cm_media_files_place (const CmMediaFiles *files, CmNewFile *file, const char *sha256,
                      GError **error)
{
  g_autofree char *folder = folder_of (files, CONTENT, sha256);
  g_autofree char *path = content_path (files, sha256);

  /* A second name, so that the first is a mark until the database knows of the file. */
  if (link (file->path, path) == 0 || errno == EEXIST)
    return sync_folder (folder, error);
  fail (error, "cannot put a media file in its place");
  return FALSE;
}

static int
open_file (const char *path, guint64 *length, GError **error)
{
  struct stat status;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd >= 0 && fstat (fd, &status) == 0) {
    *length = (guint64) status.st_size;
    return fd;
  }
  if (errno == ENOENT)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such media");
  else
    fail (error, "cannot open a media file");
  if (fd >= 0)
    close (fd);
  return -1;
}

int
cm_media_files_open (const CmMediaFiles *files, const char *sha256, guint64 *length, GError **error)
{
  g_autofree char *path = content_path (files, sha256);

  return open_file (path, length, error);
}

void
cm_media_files_remove (const CmMediaFiles *files, const char *sha256)
{
  g_autofree char *path = content_path (files, sha256);

  if (g_unlink (path) != 0 && errno != ENOENT)
    g_warning ("cannot remove a media file: %s", g_strerror (errno));
}

gboolean
cm_media_files_place_thumbnail (const CmMediaFiles *files, CmNewFile *file, const char *sha256,
                                const char *kind, GError **error)
{
  g_autofree char *path = thumbnail_path (files, sha256, kind);

  if (g_rename (file->path, path) != 0) {
    fail (error, "cannot put a thumbnail in its place");
    return FALSE;
  }
  g_clear_pointer (&file->path, g_free);
  return TRUE;
}

int
cm_media_files_open_thumbnail (const CmMediaFiles *files, const char *sha256, const char *kind,
                               guint64 *length, GError **error)
{
  g_autofree char *path = thumbnail_path (files, sha256, kind);

  return open_file (path, length, error);
}

void
cm_media_files_remove_thumbnail (const CmMediaFiles *files, const char *sha256, const char *kind)
{
  g_autofree char *path = thumbnail_path (files, sha256, kind);

  g_unlink (path);
}
