/* The types of GIO and libsoup that several threads use, made known while nothing races. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Call it before a thread is started that uses GIO.
 *
 * Up to GLib 2.74 two threads can wait for each other for good: one is the first to use a type that
 * has interfaces and, in the middle of registering it, asks for the lock of class initialisation;
 * the other holds that lock, because it initialises a class that names the type in a property, and
 * waits until the type is registered. A node that started its listeners while another server
 * already called stood still that way. Types that are registered already make nobody wait. */
void cm_outbound_register_types (void);

G_END_DECLS
