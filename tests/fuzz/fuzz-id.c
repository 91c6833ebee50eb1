#include "tests/fuzz/fuzz.h"

#include "crypto/base64.h"
#include "crypto/id.h"

#include <string.h>

static void
check_server_name (const char *text)
{
  g_autofree char *host = NULL;
  guint16 port = 0;
  gboolean is_ip = FALSE;

  FUZZ_EXPECT (strlen (text) >= 1 && strlen (text) <= CM_ID_MAX_BYTES);
  if (!cm_id_split_server_name (text, &host, &port, &is_ip))
    return;
  /* Put together again it is what it was, leading zeros of the port aside. */
  FUZZ_EXPECT (strstr (text, host) != NULL);
  FUZZ_EXPECT (strlen (host) >= 1 && strpbrk (host, "[]/@ ") == NULL);
  FUZZ_EXPECT (is_ip || strchr (host, ':') == NULL);
}

static void
check_id (const char *text)
{
  if (cm_id_is_server_name (text))
    check_server_name (text);
  if (cm_id_is_user (text) || cm_id_is_alias (text) ||
      (cm_id_is_room (text) && strchr (text, ':') != NULL)) {
    g_autofree char *localpart = cm_id_localpart (text);
    g_autofree char *together =
        g_strdup_printf ("%c%s:%s", text[0], localpart, cm_id_domain (text));
    FUZZ_EXPECT (g_str_equal (together, text));
    FUZZ_EXPECT (cm_id_is_server_name (cm_id_domain (text)));
    FUZZ_EXPECT (cm_id_domain_is (text, cm_id_domain (text)));
  }
  if (cm_id_is_user (text) || cm_id_is_room (text) || cm_id_is_event (text) ||
      cm_id_is_alias (text) || cm_id_is_key (text) || cm_id_is_opaque (text) ||
      cm_id_is_new_localpart (text))
    FUZZ_EXPECT (strlen (text) <= CM_ID_MAX_BYTES && g_utf8_validate (text, -1, NULL));
}

static void
check_mxc (const char *text)
{
  g_autofree char *server = NULL, *media = NULL;
  if (!cm_id_parse_mxc (text, &server, &media))
    return;
  g_autofree char *together = g_strdup_printf ("mxc://%s/%s", server, media);
  FUZZ_EXPECT (g_str_equal (together, text));
  FUZZ_EXPECT (cm_id_is_server_name (server) && cm_id_is_opaque (media) &&
               strchr (media, '.') == NULL);
}

/* A value has one spelling, padding aside. */
static void
check_base64 (const char *text)
{
  g_autoptr (GBytes) bytes = cm_base64_decode (text, NULL);
  if (bytes == NULL)
    return;
  gsize length;
  const guint8 *data = g_bytes_get_data (bytes, &length);
  g_autofree char *again = cm_base64_encode (data, length);
  FUZZ_EXPECT (g_str_has_prefix (text, again));
  FUZZ_EXPECT (strspn (text + strlen (again), "=") == strlen (text) - strlen (again));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);

  check_id (text);
  check_mxc (text);
  check_base64 (text);
  return 0;
}
