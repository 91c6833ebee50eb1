#include "server/media/files.h"
#include "server/media/header-value.h"
#include "server/media/image-type.h"
#include "server/media/multipart.h"
#include "server/media/thumbnail.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void
test_content_types (void)
{
  static const char *const valid[] = { "text/plain",
                                       "TEXT/Plain",
                                       "text/plain; charset=utf-8",
                                       "text/plain;charset=\"a;b\\\"c\"",
                                       "image/svg+xml",
                                       "text/plain ; a=b ; c=d" };
  static const char *const invalid[] = {
    "",
    "text",
    "/plain",
    "text/",
    "text /plain",
    "text/plain, text/html",
    "text/plain; charset",
    "text/plain; charset=",
    "text/plain; charset=\"a",
    "text/plain; charset=\"a\r\nb\"",
    "text/plain;",
    "text/plain\r\nX: y",
    "text/pl\xc3\xa4in",
    "image/png image/gif",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (valid); i++)
    g_assert_true (cm_content_type_is_valid (valid[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (invalid); i++) {
    g_test_message ("%s", invalid[i]);
    g_assert_false (cm_content_type_is_valid (invalid[i]));
  }
}

static void
test_inline_types (void)
{
  g_assert_true (cm_content_type_is_inline ("image/png"));
  g_assert_true (cm_content_type_is_inline ("Text/CSS; charset=utf-8"));
  g_assert_false (cm_content_type_is_inline ("text/html"));
  g_assert_false (cm_content_type_is_inline ("image/svg+xml"));
  g_assert_false (cm_content_type_is_inline ("image/pngx"));
  g_assert_false (cm_content_type_is_inline ("image"));
}

static void
test_header_params (void)
{
  static const struct {
    const char *value;
    const char *boundary;
  } rows[] = {
    { "multipart/mixed; boundary=abc", "abc" },
    { "multipart/mixed;boundary=\"a b;c\"", "a b;c" },
    { "multipart/mixed; charset=x; BOUNDARY=abc; boundary=d", "abc" },
    { "multipart/mixed; boundary=\"a\\\"b\"", "a\"b" },
    { "multipart/mixed", NULL },
    { "multipart/mixed; boundary", NULL },
    { "multipart/mixed; boundary=abc; rubbish here", NULL },
    { "multipart/mixed; xboundary=abc", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *boundary = cm_header_param (rows[i].value, "boundary");
    g_assert_cmpstr (boundary, ==, rows[i].boundary);
  }
}

/* RFC 6266, 5 and RFC 8187, 3.2.3. */
static void
test_disposition_names (void)
{
  static const struct {
    const char *value;
    const char *name;
  } rows[] = {
    { "Attachment; filename=example.html", "example.html" },
    { "INLINE; FILENAME= \"an example.html\"", NULL },
    { "INLINE; FILENAME=\"an example.html\"", "an example.html" },
    { "attachment; filename*= UTF-8''%e2%82%ac%20rates", NULL },
    { "attachment; filename*=UTF-8''%e2%82%ac%20rates", "\xe2\x82\xac rates" },
    { "attachment; filename=\"EURO rates\"; filename*=utf-8'en'%e2%82%ac%20rates",
      "\xe2\x82\xac rates" },
    { "attachment; filename=\"fallback\"; filename*=iso-8859-1''%a4", "fallback" },
    { "attachment; filename*=utf-8''%ff%fe; filename=\"fallback\"", "fallback" },
    { "attachment; filename*=utf-8''a%00b", NULL },
    { "attachment; filename=\"\"", NULL },
    { "attachment", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *name = cm_disposition_file_name (rows[i].value);
    g_test_message ("%s", rows[i].value);
    g_assert_cmpstr (name, ==, rows[i].name);
  }
}

static void
test_header_injection (void)
{
  static const struct {
    const char *name;
    const char *value;
  } rows[] = {
    { NULL, "inline" },
    { "", "inline" },
    { "a.txt", "inline; filename=\"a.txt\"" },
    { "a b;c=d.txt", "inline; filename=\"a b;c=d.txt\"" },
    { "a\r\nSet-Cookie: x", "inline; filename=\"aSet-Cookie: x\"" },
    { "a\"b", "inline; filename*=utf-8''a%22b" },
    { "a\\", "inline; filename*=utf-8''a%5C" },
    { "100%", "inline; filename*=utf-8''100%25" },
    { "\xc3\xa4\r\n", "inline; filename*=utf-8''%C3%A4" },
    { "\xc2\x85\x7f", "inline" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *value = cm_disposition_new (TRUE, rows[i].name);
    g_assert_cmpstr (value, ==, rows[i].value);
  }
}

static void
assert_part (const char *body, const char *content_type, const char *location, const char *content)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (body, strlen (body));
  g_autoptr (GError) error = NULL;
  g_autoptr (CmFilePart) part = cm_multipart_parse ("multipart/mixed; boundary=b", bytes, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (part->content_type, ==, content_type);
  g_assert_cmpstr (part->location, ==, location);
  g_assert_cmpmem (g_bytes_get_data (part->content, NULL), g_bytes_get_size (part->content),
                   content, strlen (content));
}

static void
test_multipart (void)
{
  assert_part ("--b\r\nContent-Type: application/json\r\n\r\n{}\r\n"
               "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n",
               "text/plain", NULL, "hello");
  assert_part ("before\r\n--b\r\n\r\n{}\r\n--b \t\r\n\r\nhello\r\n--b--", NULL, NULL, "hello");
  assert_part ("--b\r\n\r\n{}\r\n--b\r\nLocation: https://a/b\r\n\r\n\r\n--b--", NULL,
               "https://a/b", "");
  assert_part ("--b\r\n\r\n{}\r\n--b\r\nLocation: https://a/b\r\n\r\n--b--", NULL, "https://a/b",
               "");
  assert_part ("--b\r\n\r\n{}\r\n--b\r\nCONTENT-TYPE:a/b\r\nContent-Type: c/d\r\n\r\n\r\n--c\r\n"
               "-b\r\n\r\n--b--",
               "a/b", NULL, "\r\n--c\r\n-b\r\n");
}

static void
test_malformed_multipart (void)
{
  static const struct {
    const char *type;
    const char *body;
  } rows[] = {
    { NULL, "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--" },
    { "text/plain; boundary=b", "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--" },
    { "multipart/mixed", "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--" },
    { "multipart/mixed; boundary=\"\"", "--\r\n\r\n{}\r\n--\r\n\r\nx\r\n----" },
    { "multipart/mixed; boundary=b", "" },
    { "multipart/mixed; boundary=b", "--b" },
    { "multipart/mixed; boundary=b", "--b--" },
    { "multipart/mixed; boundary=b", "--b\r\n\r\n{}\r\n--b--" },
    { "multipart/mixed; boundary=b", "--b\r\n\r\n{}\r\n--b\r\n\r\nx" },
    { "multipart/mixed; boundary=b", "--bb\r\n\r\n{}\r\n--bb\r\n\r\nx\r\n--bb--" },
    { "multipart/mixed; boundary=b", "--b\n\n{}\n--b\n\nx\n--b--" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GBytes) body = g_bytes_new_static (rows[i].body, strlen (rows[i].body));
    g_autoptr (GError) error = NULL;
    g_autoptr (CmFilePart) part = cm_multipart_parse (rows[i].type, body, &error);
    g_test_message ("%s %s", rows[i].type, rows[i].body);
    g_assert_null (part);
    g_assert_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY);
  }
}

static void
test_multipart_round_trip (void)
{
  static const char content[] = "\r\n--\0\r\n\r\n--b--";
  g_autoptr (GBytes) before = NULL, after = NULL;
  g_autofree char *type = NULL;

  cm_multipart_wrap ("image/png", "inline; filename=\"a.png\"", &before, &after, &type);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  g_byte_array_append (all, g_bytes_get_data (before, NULL), (guint) g_bytes_get_size (before));
  g_byte_array_append (all, (const guint8 *) content, sizeof content);
  g_byte_array_append (all, g_bytes_get_data (after, NULL), (guint) g_bytes_get_size (after));
  g_autoptr (GBytes) body = g_byte_array_free_to_bytes (g_steal_pointer (&all));
  g_autoptr (CmFilePart) part = cm_multipart_parse (type, body, NULL);
  g_assert_nonnull (part);
  g_assert_cmpstr (part->content_type, ==, "image/png");
  g_assert_cmpstr (part->file_name, ==, "a.png");
  g_assert_cmpmem (g_bytes_get_data (part->content, NULL), g_bytes_get_size (part->content),
                   content, sizeof content);
}

static void
test_image_types (void)
{
  g_assert_cmpint (cm_image_type ("\x89PNG\r\n\x1a\n1234", 12), ==, CM_IMAGE_PNG);
  g_assert_cmpint (cm_image_type ("\x89PNG\r\n\x1a\n123", 11), ==, CM_IMAGE_NONE);
  g_assert_cmpint (cm_image_type ("\xff\xd8\xff\xe0"
                                  "12345678",
                                  12),
                   ==, CM_IMAGE_JPEG);
  g_assert_cmpint (cm_image_type ("GIF89a123456", 12), ==, CM_IMAGE_GIF);
  g_assert_cmpint (cm_image_type ("RIFF1234WEBP", 12), ==, CM_IMAGE_WEBP);
  g_assert_cmpint (cm_image_type ("RIFF1234WAVE", 12), ==, CM_IMAGE_NONE);
  g_assert_cmpint (cm_image_type ("<svg xmlns=''>", 14), ==, CM_IMAGE_NONE);
  g_assert_cmpstr (cm_image_type_name (CM_IMAGE_GIF), ==, "image/gif");
  g_assert_null (cm_image_type_name (CM_IMAGE_NONE));
}

static void
test_thumbnail_sizes (void)
{
  static const struct {
    gint64 width, height;
    const char *method;
    gint64 got_width, got_height;
  } rows[] = {
    { 1, 1, "crop", 32, 32 },         { 32, 32, "crop", 32, 32 },         { 33, 1, "crop", 96, 96 },
    { 320, 240, "scale", 320, 240 },  { 320, 241, NULL, 640, 480 },       { 1, 1, NULL, 320, 240 },
    { 9999, 1, "scale", 4096, 4096 }, { 9999, 9999, "crop", 4096, 4096 },
  };
  CmThumbnailKey key;

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_assert_true (
        cm_thumbnail_choose (rows[i].width, rows[i].height, rows[i].method, FALSE, &key, NULL));
    g_assert_cmpint (key.width, ==, rows[i].got_width);
    g_assert_cmpint (key.height, ==, rows[i].got_height);
  }
  g_autoptr (GError) error = NULL;
  g_assert_false (cm_thumbnail_choose (1, 1, "stretch", FALSE, &key, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *below = g_build_filename (path, name, NULL);
    if (g_file_test (below, G_FILE_TEST_IS_DIR))
      remove_folder (below);
    else
      g_unlink (below);
  }
  g_rmdir (path);
}

static CmNewFile *
new_file (CmMediaFiles *files, const char *text)
{
  g_autoptr (GBytes) content = g_bytes_new_static (text, strlen (text));
  g_autoptr (CmNewFile) file = cm_media_files_begin (files, SHA256, NULL);

  g_assert_true (cm_new_file_write (file, content, NULL));
  return g_steal_pointer (&file);
}

static gboolean
note_settled (const char *sha256, gpointer count, GError **error)
{
  g_assert_cmpstr (sha256, ==, SHA256);
  ++*(guint *) count;
  return TRUE;
}

static void
test_files (void)
{
  g_autofree char *path = g_dir_make_tmp ("media-XXXXXX", NULL);
  g_autofree char *unfinished = g_build_filename (path, "unfinished", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmMediaFiles) files = cm_media_files_new (path, NULL);
  guint64 length;
  guint settled = 0;

  g_assert_cmpint (cm_media_files_open (files, SHA256, &length, &error), ==, -1);
  g_assert_error (error, CM_ERROR, CM_ERROR_NOT_FOUND);

  CmNewFile *file = new_file (files, "hello");
  g_assert_true (cm_media_files_place (files, file, SHA256, NULL));
  cm_new_file_free (file);
  int fd = cm_media_files_open (files, SHA256, &length, NULL);
  char text[8];
  g_assert_cmpint (length, ==, 5);
  g_assert_cmpint (read (fd, text, sizeof text), ==, 5);
  close (fd);

  /* What is not put in a place goes. */
  cm_new_file_free (new_file (files, "dropped"));
  g_assert_true (cm_media_files_settle (files, note_settled, &settled, NULL));
  g_assert_cmpuint (settled, ==, 0);
  /* The same again is no error. */
  file = new_file (files, "hello");
  g_assert_true (cm_media_files_place (files, file, SHA256, NULL));
  cm_new_file_free (file);

  /* What the node did not live to finish is a mark, once. */
  cm_new_file_leave (new_file (files, "left behind"));
  g_autoptr (CmMediaFiles) again = cm_media_files_new (path, NULL);
  for (guint i = 0; i < 2; i++)
    g_assert_true (cm_media_files_settle (again, note_settled, &settled, NULL));
  g_assert_cmpuint (settled, ==, 1);
  g_autoptr (GDir) dir = g_dir_open (unfinished, 0, NULL);
  g_assert_null (g_dir_read_name (dir));
  fd = cm_media_files_open (again, SHA256, &length, NULL);
  g_assert_cmpint (fd, >=, 0);
  close (fd);

  cm_media_files_remove (files, SHA256);
  g_assert_cmpint (cm_media_files_open (files, SHA256, &length, NULL), ==, -1);
  remove_folder (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/content-types", test_content_types);
  g_test_add_func ("/media/inline-types/CVE-2023-41318", test_inline_types);
  g_test_add_func ("/media/header-params", test_header_params);
  g_test_add_func ("/media/disposition-names", test_disposition_names);
  g_test_add_func ("/media/header-injection", test_header_injection);
  g_test_add_func ("/media/multipart", test_multipart);
  g_test_add_func ("/media/malformed-multipart", test_malformed_multipart);
  g_test_add_func ("/media/multipart-round-trip", test_multipart_round_trip);
  g_test_add_func ("/media/image-types/CVE-2024-53863", test_image_types);
  g_test_add_func ("/media/thumbnail-sizes", test_thumbnail_sizes);
  g_test_add_func ("/media/files", test_files);
  return g_test_run ();
}
