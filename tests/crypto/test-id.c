#include "crypto/id.h"

#include <string.h>

typedef gboolean (*Check) (const char *text);

static void
assert_check (Check check, const char *const *texts, gboolean expected)
{
  for (gsize i = 0; texts[i] != NULL; i++)
    if (check (texts[i]) != expected)
      g_error ("'%s' should %sbe valid", texts[i], expected ? "" : "not ");
  g_assert_false (check (NULL));
  g_assert_false (check (""));
}

/* @head, @fill repeated, @tail: @length bytes in all. */
static char *
of_length (const char *head, char fill, const char *tail, gsize length)
{
  g_autofree char *middle = g_strnfill (length - strlen (head) - strlen (tail), fill);
  return g_strconcat (head, middle, tail, NULL);
}

static void
assert_limit (Check check, const char *head, const char *tail)
{
  g_autofree char *longest = of_length (head, 'a', tail, 255);
  g_autofree char *too_long = of_length (head, 'a', tail, 256);
  g_autofree char *huge = of_length (head, 'a', tail, 100000);
  g_assert_true (check (longest));
  g_assert_false (check (too_long));
  g_assert_false (check (huge));
}

/* Appendices, "Server Name". */
static void
test_server_name (void)
{
  static const char *const good[] = {
    "matrix.org",
    "matrix.org:8888",
    "1.2.3.4",
    "1.2.3.4:1234",
    "[1234:5678::abcd]",
    "[1234:5678::abcd]:5678",
    "[::1]",
    "[::ffff:1.2.3.4]:1",
    "localhost",
    "MATRIX.org",
    "a-b.c",
    "x:0",
    "x:99999",
    NULL,
  };
  static const char *const bad[] = {
    ":80",
    "matrix.org:",
    "matrix.org:123456",
    "matrix.org:8a",
    "matrix.org:80:80",
    "matrix.org:-1",
    "matrix.org: 80",
    "mat rix.org",
    "matrix_org",
    "matrix.org/",
    "matrix.org/x",
    "../../etc/passwd",
    "a@b",
    "é.org",
    "a%2fb",
    "[::1",
    "::1",
    "[::1]x",
    "[::1]80",
    "[]",
    "[::g]",
    "[1.2.3.4]",
    "[:]",
    "[::1%eth0]",
    "[::1]]",
    "matrix.org\n",
    " matrix.org",
    "a\\b",
    "[1:2:3:4:5:6:7:8:9]",
    NULL,
  };
  assert_check (cm_id_is_server_name, good, TRUE);
  assert_check (cm_id_is_server_name, bad, FALSE);
  assert_limit (cm_id_is_server_name, "", ".example:8448");
}

static void
test_user (void)
{
  static const char *const good[] = {
    "@alice:matrix.org", "@a:x:8448",  "@:x", "@A B:x", "@\x01:x", "@é日:x", "@a@b:x",
    "@user:[::1]:80",    "@a/b+c=d:x", NULL,
  };
  static const char *const bad[] = {
    "@",       "@alice",          "@alice:", "alice:x", "#alice:x", "@a:b:c:d", "@a:b c",
    "@\xff:x", "@\xed\xa0\x80:x", "@a:x/y",  " @a:x",   "@a:x ",    "@a:x\n",   NULL,
  };
  assert_check (cm_id_is_user, good, TRUE);
  assert_check (cm_id_is_user, bad, FALSE);
  assert_limit (cm_id_is_user, "@", ":x");

  /* event-size: bytes count, not characters. */
  g_autoptr (GString) wide = g_string_new ("@");
  for (guint i = 0; i < 64; i++)
    g_string_append (wide, "😀");
  g_string_append (wide, ":x");
  g_assert_false (cm_id_is_user (wide->str));
}

static void
test_new_localpart (void)
{
  static const char *const good[] = { "alice", "a.b_c=d-e/f+g", "0", NULL };
  static const char *const bad[] = {
    "Alice",     "ALICE", "al ice", "a:b", "a@b",  "é",  "ａ",
    "a\xcc\x81", "a\n",   "*",      "a%",  "\x01", NULL,
  };
  assert_check (cm_id_is_new_localpart, good, TRUE);
  assert_check (cm_id_is_new_localpart, bad, FALSE);
}

#define HASH43          "acR1l0raoZnm60CBwAVgqbZqoO_mYU81xysh1u7XcJk"
#define HASH43_STANDARD "acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJ+"

static void
test_room_event_alias (void)
{
  static const char *const rooms[] = { "!abc:matrix.org", "!a b:x", "!é:x:80", "!" HASH43, NULL };
  static const char *const no_rooms[] = {
    "!", "!:x", "!abc", "!abc:", "#abc:x", "!" HASH43 "x", "!" HASH43_STANDARD, "!\xff:x", NULL,
  };
  static const char *const events[] = { "$a:x", "$143273582443PhrSn:example.org", "$" HASH43,
                                        "$" HASH43_STANDARD, NULL };
  static const char *const no_events[] = {
    "$", "$a", "$:x", "!a:x", "$" HASH43 "=", "$acR1l0raoZnm60CBwAVgqbZqoO_mYU81xysh1u7Xc+k", NULL,
  };
  static const char *const aliases[] = { "#room:x", "#é 日:x:80", NULL };
  static const char *const no_aliases[] = { "#",      "#:x",      "#room", "#room:",
                                            "room:x", "#" HASH43, NULL };

  assert_check (cm_id_is_room, rooms, TRUE);
  assert_check (cm_id_is_room, no_rooms, FALSE);
  assert_limit (cm_id_is_room, "!", ":x");
  assert_check (cm_id_is_event, events, TRUE);
  assert_check (cm_id_is_event, no_events, FALSE);
  assert_limit (cm_id_is_event, "$", ":x");
  assert_check (cm_id_is_alias, aliases, TRUE);
  assert_check (cm_id_is_alias, no_aliases, FALSE);
  assert_limit (cm_id_is_alias, "#", ":x");
}

static void
test_key_and_opaque (void)
{
  static const char *const keys[] = {
    "ed25519:a_XyZ1",           "ed25519:1",           "curve25519:JLAFKJWSCS",
    "signed_curve25519:AAAAHQ", "ed25519:base64+/key", NULL,
  };
  static const char *const no_keys[] = { "ed25519",     "ed25519:",   ":a",        "ed 25519:a",
                                         "ed25519:a b", "ed25519:\n", "ed25519:é", NULL };
  static const char *const opaque[] = { "abc", "A-Z_a.z~0", NULL };
  static const char *const not_opaque[] = { "a/b", "a b", "a:b", "é", "a\n", "%2e", "a\\b", NULL };

  assert_check (cm_id_is_key, keys, TRUE);
  assert_check (cm_id_is_key, no_keys, FALSE);
  assert_limit (cm_id_is_key, "ed25519:", "");
  assert_check (cm_id_is_opaque, opaque, TRUE);
  assert_check (cm_id_is_opaque, not_opaque, FALSE);
  assert_limit (cm_id_is_opaque, "", "");
}

static void
test_mxc (void)
{
  static const char *const bad[] = {
    "",
    "mxc://",
    "mxc://x",
    "mxc://x/",
    "mxc:///id",
    "mxc://x/a/b",
    "mxc://x/../etc",
    "mxc://x/..",
    "mxc://x/a.b",
    "mxc://x/%2e%2e",

    "mxc://x y/id",
    "mxc://127.0.0.1/../../../some_service/etc/passwd",
    "mxc://x/a\\b",
    "mxc://x/id?q",
    "mxc://x/id#f",
    "http://x/id",
    "MXC://x/id",
    "mxc://x/a b",

    NULL,
  };
  g_autofree char *server = NULL, *media = NULL;

  g_assert_true (
      cm_id_parse_mxc ("mxc://example.org:8448/AQwafuaFswefuhsfAFAgsw-_", &server, &media));
  g_assert_cmpstr (server, ==, "example.org:8448");
  g_assert_cmpstr (media, ==, "AQwafuaFswefuhsfAFAgsw-_");
  g_assert_true (cm_id_parse_mxc ("mxc://[::1]/a", NULL, NULL));
  for (gsize i = 0; bad[i] != NULL; i++)
    if (cm_id_parse_mxc (bad[i], NULL, NULL))
      g_error ("accepted %s", bad[i]);
  g_assert_false (cm_id_parse_mxc (NULL, NULL, NULL));

  g_autofree char *too_long = of_length ("mxc://x/", 'a', "", strlen ("mxc://x/") + 256);
  g_assert_false (cm_id_parse_mxc (too_long, NULL, NULL));
}

static void
test_parts (void)
{
  g_autofree char *localpart = cm_id_localpart ("@alice:example.org:80");
  g_autofree char *empty = cm_id_localpart ("@:x");
  g_autofree char *whole = cm_id_localpart ("$" HASH43);

  g_assert_cmpstr (localpart, ==, "alice");
  g_assert_cmpstr (empty, ==, "");
  g_assert_cmpstr (whole, ==, HASH43);
  g_assert_cmpstr (cm_id_domain ("@alice:example.org:80"), ==, "example.org:80");
  g_assert_cmpstr (cm_id_domain ("!a:[::1]:80"), ==, "[::1]:80");
  g_assert_null (cm_id_domain ("$" HASH43));
  g_assert_null (cm_id_domain ("@alice:"));
  g_assert_true (cm_id_domain_is ("@a:x:80", "x:80"));
  g_assert_false (cm_id_domain_is ("@a:x:80", "x"));
  g_assert_false (cm_id_domain_is ("@a:X", "x"));
  g_assert_false (cm_id_domain_is ("$" HASH43, "x"));
}

static void
test_split_server_name (void)
{
  static const struct {
    const char *name;
    const char *host;
    guint16 port;
    gboolean is_ip;
  } rows[] = {
    { "matrix.org", "matrix.org", 0, FALSE },
    { "matrix.org:8448", "matrix.org", 8448, FALSE },
    { "1.2.3.4", "1.2.3.4", 0, TRUE },
    { "1.2.3.4:65535", "1.2.3.4", 65535, TRUE },
    { "[::1]", "::1", 0, TRUE },
    { "[1234:5678::abcd]:1", "1234:5678::abcd", 1, TRUE },
    { "1.2.3.4.org", "1.2.3.4.org", 0, FALSE },
    { "1.2.3", "1.2.3", 0, FALSE },
    { "999.1.1.1", "999.1.1.1", 0, TRUE },
    { "1.2.3.4.5", "1.2.3.4.5", 0, FALSE },
    { "1..3.4", "1..3.4", 0, FALSE },
    { "1234.1.1.1", "1234.1.1.1", 0, FALSE },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *host = NULL;
    guint16 port = 1;
    gboolean is_ip = -1;
    g_assert_true (cm_id_split_server_name (rows[i].name, &host, &port, &is_ip));
    g_assert_cmpstr (host, ==, rows[i].host);
    g_assert_cmpuint (port, ==, rows[i].port);
    g_assert_cmpint (is_ip, ==, rows[i].is_ip);
  }
  g_assert_true (cm_id_split_server_name ("x:80", NULL, NULL, NULL));
  g_assert_false (cm_id_split_server_name ("x:65536", NULL, NULL, NULL));
  g_assert_false (cm_id_split_server_name ("x:0", NULL, NULL, NULL));
  g_assert_false (cm_id_split_server_name ("a b", NULL, NULL, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/id/server-name", test_server_name);
  g_test_add_func ("/id/user/event-size", test_user);
  g_test_add_func ("/id/new-localpart/CVE-2019-11340", test_new_localpart);
  g_test_add_func ("/id/room-event-alias", test_room_event_alias);
  g_test_add_func ("/id/key-and-opaque/CVE-2021-21394", test_key_and_opaque);
  g_test_add_func ("/id/mxc/CVE-2021-41281", test_mxc);
  g_test_add_func ("/id/parts", test_parts);
  g_test_add_func ("/id/split-server-name", test_split_server_name);
  return g_test_run ();
}
