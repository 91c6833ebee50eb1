use strict;
use warnings;

# Starts one node with the properties that docs/conformance.md lists: everything weakened that the suite needs weak.
package SyTest::Homeserver::Comity;
use base qw( SyTest::Homeserver SyTest::Homeserver::ProcessManager );

use Carp;
use Cwd qw( abs_path );
use File::Path qw( make_path remove_tree );
use SyTest::SSL qw( ensure_ssl_key create_ssl_cert );

sub _init
{
   my $self = shift;
   my ( $args ) = @_;

   $self->{$_} = delete $args->{$_} for qw( program run_as );
   defined $self->{program} or croak "Need a program";

   $self->SUPER::_init( $args );

   my $idx = $self->{hs_index};
   $self->{ports} = {
      tls   => main::alloc_port( "comity[$idx].tls" ),
      plain => main::alloc_port( "comity[$idx].plain" ),
   };
}

sub server_name     { my $self = shift; return $self->{bind_host} . ":" . $self->{ports}{tls} }
sub federation_host { my $self = shift; return $self->{bind_host} }
sub federation_port { my $self = shift; return $self->{ports}{tls} }
sub secure_port     { my $self = shift; return $self->{ports}{tls} }
sub unsecure_port   { my $self = shift; return $self->{ports}{plain} }
sub public_baseurl  { my $self = shift; return "https://$self->{bind_host}:" . $self->secure_port }

sub _config_text
{
   my $self = shift;
   my ( $data_dir ) = @_;

   my $ca = abs_path( "keys/ca.crt" );
   my $name = $self->server_name;
   my $appservices = $self->{app_service_config_files}
      ? "\n[appservices]\nfiles = " . join( ";", @{ $self->{app_service_config_files} } ) . ";\n"
      : "";

   # Application services come with an issue of their own; a node that does not know the group would refuse the file.
   $appservices = "" unless $ENV{COMITY_APPSERVICES};

   return <<"EOF";
[node]
server_name = $name
public_baseurl = @{[ $self->public_baseurl ]}
data_dir = $data_dir
user = $self->{run_as}
log_level = debug

[listen tls]
address = 127.0.0.1
port = $self->{ports}{tls}
tls_certificate = $self->{paths}{cert_file}
tls_key = $self->{paths}{key_file}
serve = client;federation;admin

[listen plain]
address = 127.0.0.1
port = $self->{ports}{plain}
serve = client;federation;admin

[registration]
open = true
guests = true
shared_secret = reg_secret

[accounts]
password_cost = minimum

[federation]
ca_file = $ca
public_rooms = true

[outbound]
allow = 127.0.0.0/8;::1
verify_tls = false

[limits]
enabled = false

[rooms]
default_version = 10
$appservices
EOF
}

sub start
{
   my $self = shift;

   my $hs_dir = $self->{hs_dir};
   my $data_dir = "$hs_dir/data";

   remove_tree( $data_dir );
   make_path( $data_dir );
   $self->{paths}{cert_file} = "$hs_dir/tls.crt";
   $self->{paths}{key_file} = "$hs_dir/tls.key";
   ensure_ssl_key( $self->{paths}{key_file} );
   create_ssl_cert( $self->{paths}{cert_file}, $self->{paths}{key_file}, $self->{bind_host} );

   if( $> == 0 ) {
      my ( undef, undef, $uid, $gid ) = getpwnam( $self->{run_as} ) or croak "No user $self->{run_as}";
      chown $uid, $gid, $data_dir, $self->{paths}{key_file};
   }

   my $config = $self->write_file( "comity.conf", $self->_config_text( $data_dir ) );
   my $idx = $self->{hs_index};

   $self->{output}->diag( "Starting comity on " . $self->server_name );
   return $self->_start_process_and_await_connectable(
      command      => [ $self->{program}, "serve", "--config", $config ],
      connect_host => $self->{bind_host},
      connect_port => $self->secure_port,
      name         => "comity-$idx",
   )->else( sub {
      die "Unable to start comity: $_[0]\n";
   });
}

1;
