#include "fixture.h"

#include "federation/auth-rules.h"

static CmEvent *
acl_of (const char *content)
{
  return fixture_event ("12", "$acl",
                        "{'content':%s,'room_id':'!r','sender':'@a:b','state_key':'','type':"
                        "'m.room.server_acl'}",
                        content);
}

/* The description of m.room.server_acl, whose order is: literals, deny, allow, otherwise deny. */
static const struct {
  const char *content;
  const char *server;
  gboolean allowed;
} rows[] = {
  { "{}", "good.example", FALSE },
  { "{'allow':['*']}", "good.example", TRUE },
  { "{'allow':['*'],'deny':['evil.example']}", "evil.example", FALSE },
  { "{'allow':['evil.example'],'deny':['*.example']}", "evil.example", FALSE },
  { "{'allow':['good.example']}", "other.example", FALSE },
  /* The port does not count, on either side of the list. */
  { "{'allow':['*'],'deny':['evil.example']}", "evil.example:8448", FALSE },
  { "{'allow':['*'],'deny':['evil.example']}", "evil.example:1234", FALSE },
  { "{'allow':['good.example']}", "good.example:443", TRUE },
  /* Neither does case. */
  { "{'allow':['*'],'deny':['evil.example']}", "EVIL.example", FALSE },
  { "{'allow':['*'],'deny':['EVIL.Example']}", "evil.example", FALSE },
  /* Globs are anchored; a dot is a dot. */
  { "{'allow':['*'],'deny':['evil.example']}", "notevil.example", TRUE },
  { "{'allow':['*'],'deny':['evil.example']}", "evil.example.org", TRUE },
  { "{'allow':['*'],'deny':['evil.example']}", "evilxexample", TRUE },
  { "{'allow':['*'],'deny':['*.evil.example']}", "a.b.evil.example", FALSE },
  { "{'allow':['*'],'deny':['*.evil.example']}", "evil.example", TRUE },
  { "{'allow':['*'],'deny':['evi?.example']}", "evil.example", FALSE },
  { "{'allow':['*'],'deny':['[e]vil.example']}", "evil.example", TRUE },
  /* Literals. */
  { "{'allow':['*'],'allow_ip_literals':false}", "1.2.3.4", FALSE },
  { "{'allow':['*'],'allow_ip_literals':false}", "1.2.3.4:8448", FALSE },
  { "{'allow':['*'],'allow_ip_literals':false}", "[::1]", FALSE },
  { "{'allow':['*'],'allow_ip_literals':false}", "[2001:db8::1]:8448", FALSE },
  { "{'allow':['*'],'allow_ip_literals':false}", "good.example", TRUE },
  { "{'allow':['*'],'allow_ip_literals':true}", "[::1]", TRUE },
  { "{'allow':['*'],'allow_ip_literals':'false'}", "1.2.3.4", TRUE },
  { "{'allow':['*'],'allow_ip_literals':0}", "1.2.3.4", TRUE },
  { "{'allow':['*'],'deny':['[2001:db8::1]']}", "[2001:DB8::1]:8448", FALSE },
  { "{'allow':['*'],'deny':['1.2.3.*']}", "1.2.3.4:1", FALSE },
  /* What is malformed lets nobody in. */
  { "{'allow':'*'}", "good.example", FALSE },
  { "{'allow':{'0':'*'}}", "good.example", FALSE },
  { "{'allow':[1,null,['*'],'good.example']}", "good.example", TRUE },
  { "{'allow':[1,null,['*']]}", "good.example", FALSE },
  { "{'allow':['*'],'deny':[7,'evil.example']}", "evil.example", FALSE },
  { "{'allow':['*\\u0000']}", "good.example", FALSE },
  { "{'allow':['*']}", "", FALSE },
  { "{'allow':['*']}", "good.example:", FALSE },
  { "{'allow':['*']}", "good example", FALSE },
  { "{'allow':['*'],'deny':['evil.example']}", "evil.example:x", FALSE },
  { "{'allow':['*']}", "[::1", FALSE },
};

static void
test_verdicts (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (CmEvent) acl = acl_of (rows[i].content);
    g_test_message ("%s with %s", rows[i].server, rows[i].content);
    g_assert_cmpint (cm_server_acl_allows (acl, rows[i].server), ==, rows[i].allowed);
  }
  g_assert_true (cm_server_acl_allows (NULL, "any.example"));
}

/* A name that makes matchers which backtrack give up or take for ever. */
static void
test_linear (void)
{
  g_autoptr (CmEvent) acl = acl_of ("{'allow':['*'],'deny':['*a*a*a*a*a*a*a*a*a*b']}");
  g_autofree char *labels = g_strnfill (240, 'a');
  g_autofree char *denied = g_strconcat (labels, "b", NULL);

  g_assert_true (cm_server_acl_allows (acl, labels));
  g_assert_false (cm_server_acl_allows (acl, denied));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/server-acl/acl-matching/verdicts", test_verdicts);
  g_test_add_func ("/server-acl/acl-matching/linear", test_linear);
  return g_test_run ();
}
