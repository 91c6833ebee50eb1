/* A resolver whose answers the test decides. */
#pragma once

#include <gio/gio.h>

#define FAKE_TYPE_RESOLVER (fake_resolver_get_type ())
G_DECLARE_FINAL_TYPE (FakeResolver, fake_resolver, FAKE, RESOLVER, GResolver)

FakeResolver *fake_resolver_new (void);
/* @addresses: separated by spaces; several sets separated by '|' are given in turn. */
void fake_resolver_add (FakeResolver *resolver, const char *name, const char *addresses);
/* @name as in "_matrix-fed._tcp.a.test"; several calls for several targets. */
void fake_resolver_add_service (FakeResolver *resolver, const char *name, const char *target,
                                guint16 port, guint16 priority);
