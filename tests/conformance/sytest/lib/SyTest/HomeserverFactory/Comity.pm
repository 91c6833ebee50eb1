use strict;
use warnings;

require SyTest::Homeserver::Comity;

# run-tests.pl -I Comity --comity PROGRAM [--run-as USER]
package SyTest::HomeserverFactory::Comity;
use base qw( SyTest::HomeserverFactory );

sub _init
{
   my $self = shift;

   $self->{args} = { program => "comity", run_as => "nobody" };
   $self->SUPER::_init( @_ );
}

sub implementation_name { "comity" }

sub get_options
{
   my $self = shift;

   return (
      'comity=s' => \$self->{args}{program},
      'run-as=s' => \$self->{args}{run_as},
      $self->SUPER::get_options,
   );
}

sub print_usage
{
   print STDERR <<EOF;
       --comity PROGRAM         - the comity program to test
       --run-as USER            - whom it drops to when started as root
EOF
}

sub create_server
{
   my $self = shift;

   return SyTest::Homeserver::Comity->new( @_, %{ $self->{args} } );
}

1;
