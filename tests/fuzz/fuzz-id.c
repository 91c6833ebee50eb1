#include "tests/fuzz/fuzz.h"

#include "crypto/id.h"

#include <string.h>

static void
check_server_name (const char *text)
{
  g_autofree char *host = NULL;
  guint16 port = 0;
  gboolean literal = FALSE;
  if (!cm_id_is_server_name (text))
    return;
  FUZZ_EXPECT (strlen (text) <= CM_ID_MAX_BYTES);
  /* The grammar allows port 0 and ports above 65535, where nobody can be. */
  if (cm_id_split_server_name (text, &host, &port, &literal))
    FUZZ_EXPECT (*host && strlen (host) <= strlen (text));
}

static void
check_parts (const char *text, char sigil)
{
  const char *domain = cm_id_domain (text);
  g_autofree char *localpart = cm_id_localpart (text);
  FUZZ_EXPECT (text[0] == sigil);
  FUZZ_EXPECT (strlen (text) <= CM_ID_MAX_BYTES);
  FUZZ_EXPECT (domain && localpart);
  FUZZ_EXPECT (cm_id_is_server_name (domain));
  FUZZ_EXPECT (cm_id_domain_is (text, domain));
  FUZZ_EXPECT (1 + strlen (localpart) + 1 + strlen (domain) == strlen (text));
}

static void
check_mxc (const char *text)
{
  g_autofree char *server = NULL;
  g_autofree char *media = NULL;
  if (!cm_id_parse_mxc (text, &server, &media))
    return;
  FUZZ_EXPECT (cm_id_is_server_name (server));
  FUZZ_EXPECT (cm_id_is_opaque (media));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  check_server_name (text);
  if (cm_id_is_user (text))
    check_parts (text, '@');
  if (cm_id_is_alias (text))
    check_parts (text, '#');
  if (cm_id_is_room (text) || cm_id_is_event (text))
    FUZZ_EXPECT (strlen (text) <= CM_ID_MAX_BYTES);
  if (cm_id_is_new_localpart (text))
    FUZZ_EXPECT (!strpbrk (text, ":@ ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
  if (cm_id_is_opaque (text))
    FUZZ_EXPECT (!strpbrk (text, "/:@ %"));
  (void) cm_id_is_key (text);
  check_mxc (text);
  return 0;
}
