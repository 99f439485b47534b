# Sys::Virt.
#
# usage: program_perl.pl URI     Prints what it sees, which is the same whichever library it runs on.
use strict;
use warnings;
use Sys::Virt;
use Sys::Virt::Secret;

sub show {
    my ($what, $body) = @_;
    my $value = eval { $body->() };
    my $error = $@;
    if (ref $error) {
        printf "%s: %d %d %d %s\n", $what, $error->code, $error->domain, $error->level, $error->message;
    } elsif ($error) {
        print "$what: $error";
    } else {
        $value = "nothing" unless defined $value;
        print "$what: $value\n";
    }
    return $value;
}

my $uuid = "5ec2e700-0000-4000-8000-0000000000dd";
my $xml = "<secret><uuid>$uuid</uuid><usage type='tls'><name>perl</name></usage></secret>";
my $connection = Sys::Virt->new(uri => $ARGV[0]);
my $secret = $connection->define_secret($xml);
show("alive", sub { $connection->is_alive });
show("uuid", sub { $secret->get_uuid_string });
show("usage", sub { $secret->get_usage_type . " " . $secret->get_usage_id });
show("xml", sub { $secret->get_xml_description });
show("no value yet", sub { $secret->get_value });
show("set", sub { $secret->set_value("of Perl"); "done" });
show("get", sub { $secret->get_value });
show("number", sub { $connection->num_of_secrets });
show("list", sub { join " ", sort map { $_->get_uuid_string } $connection->list_all_secrets });
show("by usage", sub { $connection->get_secret_by_usage(Sys::Virt::Secret::USAGE_TYPE_TLS, "perl")->get_uuid_string });
show("no such", sub { $connection->get_secret_by_usage(Sys::Virt::Secret::USAGE_TYPE_TLS, "nobody") });
show("domains", sub { $connection->list_all_domains });
show("models", sub { $connection->get_cpu_model_names("x86_64") });
show("undefine", sub { $secret->undefine; "done" });
show("undefined", sub { $secret->get_xml_description });
show("refused", sub { Sys::Virt->new(uri => "secret+unix://host/system") });
