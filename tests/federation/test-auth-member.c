#include "room-fixture.h"

#include <string.h>

#define THIRD_PARTY(third_party)                                                                   \
  EVENT ("m.room.member", "@left:b", "@mod:a",                                                     \
         "{'membership':'invite','third_party_invite':" third_party "}")
#define TOKEN_BY(sender, content) "[['m.room.third_party_invite','tok','" sender "'," content "]]"
#define AUTHORISED(user, authoriser)                                                               \
  "{'type':'m.room.member','state_key':'" user "','sender':'" user "','content':"                  \
  "{'membership':'join','join_authorised_via_users_server':'" authoriser "'},"                     \
  "'signatures':{'a':{'ed25519:1':'x'},'b':{'ed25519:1':'x'}}}"
#define FIRST_JOIN(user, sender, prev)                                                             \
  "{'type':'m.room.member','state_key':'" user "','sender':'" sender                               \
  "','content':{'membership':'join'},'prev_events':[" prev "]}"
#define NOBODY_YET "[['m.room.member','@creator:a']]"
#define PRIVATE    JOIN_RULE ("private")

/* Rule 5 (4 in versions 10 and 11): m.room.member. */
static const RoomVector vectors[] = {
  { "shape/no-state-key", ALL, NULL,
    "{'type':'m.room.member','sender':'@user:b','content':{'membership':'join'}}", "4.1", "5.1" },
  { "shape/no-membership", ALL, NULL, EVENT ("m.room.member", "@user:b", "@user:b", "{}"), "4.1",
    "5.1" },
  { "shape/event-auth-types/number", ALL, NULL,
    EVENT ("m.room.member", "@user:b", "@user:b", "{'membership':1}"), "4.8", "5.8" },
  { "shape/event-auth-types/array", ALL, NULL,
    EVENT ("m.room.member", "@user:b", "@user:b", "{'membership':['join']}"), "4.8", "5.8" },
  { "shape/json-nul", ALL, NULL,
    EVENT ("m.room.member", "@user:b", "@user:b", "{'membership':'join\\u0000'}"), "4.8", "5.8" },
  { "shape/unknown", ALL, NULL, MEMBER ("@user:b", "@user:b", "joined"), "4.8", "5.8" },

  { "authoriser/not-signed", ALL, JOIN_RULE ("public"),
    EVENT ("m.room.member", "@left:b", "@left:b",
           "{'membership':'join','join_authorised_via_users_server':'@mod:a'}"),
    "4.2.1", "5.2.1" },
  { "authoriser/signed-by-another", ALL, JOIN_RULE ("public"),
    "{'type':'m.room.member','state_key':'@left:b','sender':'@left:b','content':{'membership':"
    "'join','join_authorised_via_users_server':'@mod:a'},'signatures':{'b':{'ed25519:1':'x'}}}",
    "4.2.1", "5.2.1" },
  { "authoriser/empty-signatures", ALL, JOIN_RULE ("public"),
    "{'type':'m.room.member','state_key':'@left:b','sender':'@left:b','content':{'membership':"
    "'join','join_authorised_via_users_server':'@mod:a'},'signatures':{'a':{}}}",
    "4.2.1", "5.2.1" },
  { "authoriser/event-auth-types/number", ALL, JOIN_RULE ("public"),
    EVENT ("m.room.member", "@left:b", "@left:b",
           "{'membership':'join','join_authorised_via_users_server':1}"),
    "4.2.1", "5.2.1" },
  { "authoriser/leave-not-signed", ALL, NULL,
    EVENT ("m.room.member", "@user:b", "@user:b",
           "{'membership':'leave','join_authorised_via_users_server':'@mod:a'}"),
    "4.2.1", "5.2.1" },

  /* x.3: join */
  { "join/first", ALL, NOBODY_YET, FIRST_JOIN ("@creator:a", "@creator:a", "'$create'"), NULL,
    NULL },
  { "join/first-by-another", ALL, NOBODY_YET, FIRST_JOIN ("@left:b", "@left:b", "'$create'"),
    "4.3.7", "5.3.7" },
  { "join/event-auth-creators/additional-is-not-first", V12,
    "[['m.room.create','','@creator:a',{'additional_creators':['@left:b']}]]",
    FIRST_JOIN ("@left:b", "@left:b", "'$create'"), NULL, "5.3.7" },
  { "join/first-after-others", ALL, NOBODY_YET,
    FIRST_JOIN ("@creator:a", "@creator:a", "'$create','$x'"), "4.3.7", "5.3.7" },
  { "join/first-after-another", ALL, NOBODY_YET, FIRST_JOIN ("@creator:a", "@creator:a", "'$x'"),
    "4.3.7", "5.3.7" },
  { "join/first-by-content-creator", V10,
    "[['m.room.create','','@creator:a',{'creator':'@left:b'}]]",
    FIRST_JOIN ("@left:b", "@left:b", "'$create'"), NULL, NULL },
  { "join/first-by-sender-not-creator", V10,
    "[['m.room.member','@creator:a'],['m.room.create','','@creator:a',{'creator':'@left:b'}]]",
    FIRST_JOIN ("@creator:a", "@creator:a", "'$create'"), "4.3.7", NULL },
  { "join/content-creator-means-nothing", V11 | V12,
    "[['m.room.create','','@creator:a',{'creator':'@left:b'}]]",
    FIRST_JOIN ("@left:b", "@left:b", "'$create'"), "4.3.7", "5.3.7" },
  { "join/for-another", ALL, JOIN_RULE ("public"), MEMBER ("@left:b", "@user:b", "join"), "4.3.2",
    "5.3.2" },
  { "join/banned", ALL, JOIN_RULE ("public"), MEMBER ("@banned:b", "@banned:b", "join"), "4.3.3",
    "5.3.3" },
  { "join/invited", ALL, NULL, MEMBER ("@invited:b", "@invited:b", "join"), NULL, NULL },
  { "join/again", ALL, NULL, MEMBER ("@user:b", "@user:b", "join"), NULL, NULL },
  { "join/not-invited", ALL, NULL, MEMBER ("@left:b", "@left:b", "join"), "4.3.7", "5.3.7" },
  { "join/stranger", ALL, NULL, MEMBER ("@nobody:b", "@nobody:b", "join"), "4.3.7", "5.3.7" },
  { "join/knocked-only", ALL, JOIN_RULE ("knock"), MEMBER ("@knocker:b", "@knocker:b", "join"),
    "4.3.7", "5.3.7" },
  { "join/knock-invited", ALL, JOIN_RULE ("knock"), MEMBER ("@invited:b", "@invited:b", "join"),
    NULL, NULL },
  { "join/public", ALL, JOIN_RULE ("public"), MEMBER ("@nobody:b", "@nobody:b", "join"), NULL,
    NULL },
  { "join/private", ALL, PRIVATE, MEMBER ("@invited:b", "@invited:b", "join"), "4.3.7", "5.3.7" },
  { "join/no-join-rules", ALL, "[['m.room.join_rules','']]",
    MEMBER ("@invited:b", "@invited:b", "join"), NULL, NULL },
  { "join/no-join-rules-not-invited", ALL, "[['m.room.join_rules','']]",
    MEMBER ("@left:b", "@left:b", "join"), "4.3.7", "5.3.7" },
  { "join/event-auth-types/join-rule", ALL,
    "[['m.room.join_rules','','@creator:a',{'join_rule':['public']}]]",
    MEMBER ("@invited:b", "@invited:b", "join"), "4.3.7", "5.3.7" },
  { "join/creator-again", ALL,
    "[['m.room.member','@creator:a','@creator:a',{'membership':'leave'}]]",
    MEMBER ("@creator:a", "@creator:a", "join"), "4.3.7", "5.3.7" },
  { "join/restricted-invited", ALL, JOIN_RULE ("restricted"),
    MEMBER ("@invited:b", "@invited:b", "join"), NULL, NULL },
  { "join/restricted-member", ALL, JOIN_RULE ("knock_restricted"),
    MEMBER ("@user:b", "@user:b", "join"), NULL, NULL },
  { "join/restricted-alone", ALL, JOIN_RULE ("restricted"), MEMBER ("@left:b", "@left:b", "join"),
    "4.3.5.2", "5.3.5.2" },
  { "join/restricted-authorised", ALL, JOIN_RULE ("restricted"), AUTHORISED ("@left:b", "@other:b"),
    NULL, NULL },
  { "join/knock-restricted-authorised", ALL, JOIN_RULE ("knock_restricted"),
    AUTHORISED ("@left:b", "@other:b"), NULL, NULL },
  { "join/restricted-by-one-who-left", ALL,
    "[['m.room.join_rules','','@creator:a',{'join_rule':'restricted'}],"
    "['m.room.member','@mod:a','@mod:a',{'membership':'leave'}]]",
    AUTHORISED ("@left:b", "@mod:a"), "4.3.5.2", "5.3.5.2" },
  { "join/restricted-by-one-too-low", ALL,
    "[['m.room.join_rules','','@creator:a',{'join_rule':'restricted'}],"
    "['m.room.power_levels','','@creator:a',{'invite':1}]]",
    AUTHORISED ("@left:b", "@other:b"), "4.3.5.2", "5.3.5.2" },
  { "join/restricted-by-oneself", ALL, JOIN_RULE ("restricted"), AUTHORISED ("@left:b", "@left:b"),
    "4.3.5.2", "5.3.5.2" },
  { "join/restricted-banned", ALL, JOIN_RULE ("restricted"), AUTHORISED ("@banned:b", "@other:b"),
    "4.3.3", "5.3.3" },

  /* x.4.1: invite by a third party */
  { "third-party/control", ALL, NULL, THIRD_PARTY ("{'signed':SIGNED}"), NULL, NULL },
  { "third-party/by-one-who-left", ALL,
    "[['m.room.member','@mod:a','@mod:a',{'membership':'leave'}]]",
    THIRD_PARTY ("{'signed':SIGNED}"), NULL, NULL },
  { "third-party/banned", ALL, "[['m.room.member','@left:b','@mod:a',{'membership':'ban'}]]",
    THIRD_PARTY ("{'signed':SIGNED}"), "4.4.1.1", "5.4.1.1" },
  { "third-party/not-signed", ALL, NULL, THIRD_PARTY ("{}"), "4.4.1.2", "5.4.1.2" },
  { "third-party/event-auth-types/null", ALL, NULL, THIRD_PARTY ("null"), "4.4.1.2", "5.4.1.2" },
  { "third-party/event-auth-types/signed", ALL, NULL, THIRD_PARTY ("{'signed':'x'}"), "4.4.1.2",
    "5.4.1.2" },
  { "third-party/no-token", ALL, NULL, THIRD_PARTY ("{'signed':{'mxid':'@left:b'}}"), "4.4.1.3",
    "5.4.1.3" },
  { "third-party/no-mxid", ALL, NULL, THIRD_PARTY ("{'signed':{'token':'tok'}}"), "4.4.1.3",
    "5.4.1.3" },
  { "third-party/other-mxid", ALL, NULL,
    THIRD_PARTY ("{'signed':{'mxid':'@user:b','token':'tok'}}"), "4.4.1.4", "5.4.1.4" },
  { "third-party/other-token", ALL, NULL, THIRD_PARTY ("{'signed':{'mxid':'@left:b','token':'x'}}"),
    "4.4.1.5", "5.4.1.5" },
  { "third-party/other-sender", ALL, TOKEN_BY ("@admin:a", "{'public_key':'KEY'}"),
    THIRD_PARTY ("{'signed':SIGNED}"), "4.4.1.6", "5.4.1.6" },
  { "third-party/no-signature", ALL, NULL,
    THIRD_PARTY ("{'signed':{'mxid':'@left:b','token':'tok'}}"), "4.4.1.8", "5.4.1.8" },
  { "third-party/other-key", ALL,
    TOKEN_BY ("@mod:a", "{'public_key':'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'}"),
    THIRD_PARTY ("{'signed':SIGNED}"), "4.4.1.8", "5.4.1.8" },
  { "third-party/no-key", ALL, TOKEN_BY ("@mod:a", "{}"), THIRD_PARTY ("{'signed':SIGNED}"),
    "4.4.1.8", "5.4.1.8" },
  { "third-party/listed-key", ALL,
    TOKEN_BY ("@mod:a", "{'public_key':'x','public_keys':[{},1,{'public_key':'KEY'}]}"),
    THIRD_PARTY ("{'signed':SIGNED}"), NULL, NULL },
  { "third-party/listed-key-as-text", ALL, TOKEN_BY ("@mod:a", "{'public_keys':['KEY']}"),
    THIRD_PARTY ("{'signed':SIGNED}"), "4.4.1.8", "5.4.1.8" },

  /* x.4.2 to x.4.5: invite */
  { "invite/control", ALL, NULL, MEMBER ("@left:b", "@user:b", "invite"), NULL, NULL },
  { "invite/stranger", ALL, NULL, MEMBER ("@nobody:b", "@user:b", "invite"), NULL, NULL },
  { "invite/knocker", ALL, NULL, MEMBER ("@knocker:b", "@user:b", "invite"), NULL, NULL },
  { "invite/by-one-who-left", ALL, NULL, MEMBER ("@nobody:b", "@left:b", "invite"), "4.4.2",
    "5.4.2" },
  { "invite/oneself", ALL, NULL, MEMBER ("@left:b", "@left:b", "invite"), "4.4.2", "5.4.2" },
  { "invite/member", ALL, NULL, MEMBER ("@user:b", "@mod:a", "invite"), "4.4.3", "5.4.3" },
  { "invite/banned", ALL, NULL, MEMBER ("@banned:b", "@admin:a", "invite"), "4.4.3", "5.4.3" },
  { "invite/too-low", ALL, LEVELS ("{'invite':1}"), MEMBER ("@left:b", "@user:b", "invite"),
    "4.4.5", "5.4.5" },
  { "invite/CVE-2022-36009/level", ALL, LEVELS ("{'invite':75,'users':{'@mod:a':50}}"),
    MEMBER ("@left:b", "@mod:a", "invite"), "4.4.5", "5.4.5" },
  { "invite/CVE-2022-36009/no-power-levels", ALL, "[['m.room.power_levels','']]",
    MEMBER ("@left:b", "@user:b", "invite"), NULL, NULL },

  /* x.5: leave, kick, unban */
  { "leave/own", ALL, NULL, MEMBER ("@user:b", "@user:b", "leave"), NULL, NULL },
  { "leave/invite", ALL, NULL, MEMBER ("@invited:b", "@invited:b", "leave"), NULL, NULL },
  { "leave/knock", ALL, NULL, MEMBER ("@knocker:b", "@knocker:b", "leave"), NULL, NULL },
  { "leave/twice", ALL, NULL, MEMBER ("@left:b", "@left:b", "leave"), "4.5.1", "5.5.1" },
  { "leave/banned", ALL, NULL, MEMBER ("@banned:b", "@banned:b", "leave"), "4.5.1", "5.5.1" },
  { "leave/stranger", ALL, NULL, MEMBER ("@nobody:b", "@nobody:b", "leave"), "4.5.1", "5.5.1" },
  { "kick/control", ALL, NULL, MEMBER ("@user:b", "@mod:a", "leave"), NULL, NULL },
  { "kick/by-one-who-left", ALL, NULL, MEMBER ("@user:b", "@left:b", "leave"), "4.5.2", "5.5.2" },
  { "kick/unban", ALL, NULL, MEMBER ("@banned:b", "@mod:a", "leave"), NULL, NULL },
  { "kick/unban-too-low", ALL, LEVELS ("{'kick':0,'users':{'@user:b':10}}"),
    MEMBER ("@banned:b", "@user:b", "leave"), "4.5.3", "5.5.3" },
  { "kick/CVE-2022-36009/unban-level", ALL, LEVELS ("{'ban':75,'users':{'@mod:a':50}}"),
    MEMBER ("@banned:b", "@mod:a", "leave"), "4.5.3", "5.5.3" },
  { "kick/too-low", ALL, NULL, MEMBER ("@other:b", "@user:b", "leave"), "4.5.5", "5.5.5" },
  { "kick/equal", ALL, LEVELS ("{'users':{'@mod:a':50,'@user:b':50}}"),
    MEMBER ("@user:b", "@mod:a", "leave"), "4.5.5", "5.5.5" },
  { "kick/higher", ALL, NULL, MEMBER ("@admin:a", "@mod:a", "leave"), "4.5.5", "5.5.5" },
  { "kick/CVE-2022-36009/level", ALL, LEVELS ("{'kick':75,'users':{'@mod:a':50}}"),
    MEMBER ("@user:b", "@mod:a", "leave"), "4.5.5", "5.5.5" },
  { "kick/CVE-2022-36009/no-power-levels", ALL, "[['m.room.power_levels','']]",
    MEMBER ("@user:b", "@mod:a", "leave"), "4.5.5", "5.5.5" },
  { "kick/event-auth-creators/creator", V12, NULL, MEMBER ("@creator:a", "@admin:a", "leave"), NULL,
    "5.5.5" },
  { "kick/event-auth-creators/creator-before-12", OLD, NULL,
    MEMBER ("@creator:a", "@admin:a", "leave"), NULL, NULL },
  { "kick/event-auth-creators/by-creator", V12, NULL, MEMBER ("@admin:a", "@creator:a", "leave"),
    NULL, NULL },

  /* x.6: ban */
  { "ban/control", ALL, NULL, MEMBER ("@user:b", "@mod:a", "ban"), NULL, NULL },
  { "ban/stranger", ALL, NULL, MEMBER ("@nobody:b", "@mod:a", "ban"), NULL, NULL },
  { "ban/by-one-who-left", ALL, NULL, MEMBER ("@user:b", "@left:b", "ban"), "4.6.1", "5.6.1" },
  { "ban/too-low", ALL, NULL, MEMBER ("@other:b", "@user:b", "ban"), "4.6.3", "5.6.3" },
  { "ban/higher", ALL, NULL, MEMBER ("@admin:a", "@mod:a", "ban"), "4.6.3", "5.6.3" },
  { "ban/oneself", ALL, NULL, MEMBER ("@mod:a", "@mod:a", "ban"), "4.6.3", "5.6.3" },
  { "ban/CVE-2022-36009/level", ALL, LEVELS ("{'ban':75,'users':{'@mod:a':50}}"),
    MEMBER ("@user:b", "@mod:a", "ban"), "4.6.3", "5.6.3" },
  { "ban/CVE-2022-36009/no-power-levels", ALL, "[['m.room.power_levels','']]",
    MEMBER ("@user:b", "@mod:a", "ban"), "4.6.3", "5.6.3" },
  { "ban/event-auth-creators/creator", V12, NULL, MEMBER ("@creator:a", "@admin:a", "ban"), NULL,
    "5.6.3" },
  { "ban/event-auth-creators/creator-by-creator", V12,
    "[['m.room.create','','@creator:a',{'additional_creators':['@user:b']}]]",
    MEMBER ("@user:b", "@creator:a", "ban"), NULL, "5.6.3" },

  /* x.7: knock */
  { "knock/control", ALL, JOIN_RULE ("knock"), MEMBER ("@left:b", "@left:b", "knock"), NULL, NULL },
  { "knock/restricted", ALL, JOIN_RULE ("knock_restricted"),
    MEMBER ("@nobody:b", "@nobody:b", "knock"), NULL, NULL },
  { "knock/again", ALL, JOIN_RULE ("knock"), MEMBER ("@knocker:b", "@knocker:b", "knock"), NULL,
    NULL },
  { "knock/invite-only", ALL, NULL, MEMBER ("@left:b", "@left:b", "knock"), "4.7.1", "5.7.1" },
  { "knock/restricted-only", ALL, JOIN_RULE ("restricted"), MEMBER ("@left:b", "@left:b", "knock"),
    "4.7.1", "5.7.1" },
  { "knock/for-another", ALL, JOIN_RULE ("knock"), MEMBER ("@left:b", "@user:b", "knock"), "4.7.2",
    "5.7.2" },
  { "knock/banned", ALL, JOIN_RULE ("knock"), MEMBER ("@banned:b", "@banned:b", "knock"), "4.7.4",
    "5.7.4" },
  { "knock/invited", ALL, JOIN_RULE ("knock"), MEMBER ("@invited:b", "@invited:b", "knock"),
    "4.7.4", "5.7.4" },
  { "knock/member", ALL, JOIN_RULE ("knock"), MEMBER ("@user:b", "@user:b", "knock"), "4.7.4",
    "5.7.4" },
};

/* The public key may be written in the url-safe alphabet (m.room.third_party_invite). */
static void
test_url_safe_key (void)
{
  const char *const names[] = { "10", "12" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (RoomFixture) room = room_fixture_new (names[i]);
    const CmEvent *invite = room_fixture_state (room, "m.room.third_party_invite", "tok");
    g_autofree char *key = g_strdup (cm_json_get_text (invite->content, "public_key"));
    g_assert_nonnull (strpbrk (key, "+/"));
    g_strdelimit (g_strdelimit (key, "+", '-'), "/", '_');
    g_autofree char *change = g_strdup_printf (TOKEN_BY ("@mod:a", "{'public_key':'%s'}"), key);
    room_fixture_change (room, change);
    room_fixture_assert (room, THIRD_PARTY ("{'signed':SIGNED}"), NULL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  room_fixture_add_vectors ("auth-member", vectors, G_N_ELEMENTS (vectors));
  g_test_add_func ("/auth-member/third-party/url-safe-key", test_url_safe_key);
  return g_test_run ();
}
