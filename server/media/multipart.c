#include "server/media/multipart.h"

#include "crypto/hash.h"
#include "server/media/header-value.h"

#include <string.h>

/* RFC 2046, 5.1.1. */
#define MAX_BOUNDARY 70
#define MAX_HEADERS  (64 * 1024)

typedef struct {
  const char *text;
  gsize length;
} Slice;

void
cm_file_part_free (CmFilePart *part)
{
  g_free (part->content_type);
  g_free (part->file_name);
  g_free (part->location);
  g_clear_pointer (&part->content, g_bytes_unref);
  g_free (part);
}

/* Cuts what stands before @mark off @rest; FALSE when @mark does not follow. */
static gboolean
cut (Slice *rest, const char *mark, gsize mark_length, Slice *before)
{
  const char *found = memmem (rest->text, rest->length, mark, mark_length);

  if (found == NULL)
    return FALSE;
  *before = (Slice){ rest->text, (gsize) (found - rest->text) };
  rest->text = found + mark_length;
  rest->length -= before->length + mark_length;
  return TRUE;
}

static gboolean
is_blank (const Slice *slice)
{
  for (gsize i = 0; i < slice->length; i++) {
    if (slice->text[i] != ' ' && slice->text[i] != '\t')
      return FALSE;
  }
  return TRUE;
}

/* Cuts the next part off @rest, which begins behind a delimiter; FALSE when there is none. */
static gboolean
next_part (Slice *rest, const char *delimiter, Slice *part)
{
  Slice padding;

  if (rest->length >= 2 && memcmp (rest->text, "--", 2) == 0)
    return FALSE;
  return cut (rest, "\r\n", 2, &padding) && is_blank (&padding) &&
         cut (rest, delimiter, strlen (delimiter), part);
}

/* Takes the value of the header @line if it is called @name and the first of that name. */
static void
take_header (const char *line, const char *name, char **value)
{
  gsize length = strlen (name);

  if (*value == NULL && g_ascii_strncasecmp (line, name, length) == 0 && line[length] == ':')
    *value = g_strstrip (g_strdup (line + length + 1));
}

static CmFilePart *
read_headers (const Slice *head)
{
  CmFilePart *part = g_new0 (CmFilePart, 1);
  g_autofree char *text = g_strndup (head->text, head->length);
  g_auto (GStrv) lines = g_strsplit (text, "\r\n", -1);
  g_autofree char *disposition = NULL;

  for (guint i = 0; lines[i] != NULL; i++) {
    take_header (lines[i], "Content-Type", &part->content_type);
    take_header (lines[i], "Content-Disposition", &disposition);
    take_header (lines[i], "Location", &part->location);
  }
  if (disposition != NULL)
    part->file_name = cm_disposition_file_name (disposition);
  return part;
}

static CmFilePart *
read_part (GBytes *body, Slice part)
{
  const char *start = g_bytes_get_data (body, NULL);
  Slice head = { part.text, 0 };

  /* A part without headers begins with the empty line that ends them; in one without content that
   * line may count as the delimiter's. */
  if (part.length >= 2 && memcmp (part.text, "\r\n", 2) == 0) {
    part = (Slice){ part.text + 2, part.length - 2 };
  } else if (!cut (&part, "\r\n\r\n", 4, &head)) {
    head = part;
    part = (Slice){ part.text + part.length, 0 };
  }
  if (head.length > MAX_HEADERS)
    return NULL;
  CmFilePart *file = read_headers (&head);
  file->content = g_bytes_new_from_bytes (body, (gsize) (part.text - start), part.length);
  return file;
}

CmFilePart *
cm_multipart_parse (const char *content_type, GBytes *body, GError **error)
{
  g_autofree char *boundary = NULL;
  CmFilePart *file = NULL;
  Slice rest, part;

  if (content_type != NULL && g_ascii_strncasecmp (content_type, "multipart/", 10) == 0)
    boundary = cm_header_param (content_type, "boundary");
  rest.text = g_bytes_get_data (body, &rest.length);
  /* An empty one may have no address, which memmem() would not take. */
  if (rest.length > 0 && boundary != NULL && *boundary != '\0' &&
      strlen (boundary) <= MAX_BOUNDARY) {
    g_autofree char *delimiter = g_strconcat ("\r\n--", boundary, NULL);
    gsize first = strlen (delimiter) - 2;
    gboolean at_once = rest.length >= first && memcmp (rest.text, delimiter + 2, first) == 0;
    if (at_once)
      rest = (Slice){ rest.text + first, rest.length - first };
    if ((at_once || cut (&rest, delimiter, strlen (delimiter), &part)) &&
        next_part (&rest, delimiter, &part) && next_part (&rest, delimiter, &part))
      file = read_part (body, part);
  }
  if (file == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server's answer is malformed");
  return file;
}

void
cm_multipart_wrap (const char *content_type, const char *disposition, GBytes **before,
                   GBytes **after, char **type)
{
  g_autofree char *boundary = cm_random_token (32);
  g_autoptr (GString) head = g_string_new (NULL);

  g_string_append_printf (head, "--%s\r\nContent-Type: application/json\r\n\r\n{}\r\n", boundary);
  g_string_append_printf (head, "--%s\r\nContent-Type: %s\r\n", boundary, content_type);
  if (disposition != NULL)
    g_string_append_printf (head, "Content-Disposition: %s\r\n", disposition);
  g_string_append (head, "\r\n");
  *before = g_string_free_to_bytes (g_steal_pointer (&head));
  char *tail = g_strdup_printf ("\r\n--%s--\r\n", boundary);
  *after = g_bytes_new_take (tail, strlen (tail));
  *type = g_strdup_printf ("multipart/mixed; boundary=%s", boundary);
}
